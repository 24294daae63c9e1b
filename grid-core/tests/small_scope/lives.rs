//! Every short life: what happens in it is any sequence of some steps.

/// Has every sequence of `length` steps lived; returns how many there are.
pub(crate) fn each_life<S: Copy>(steps: &[S], length: u32, mut live: impl FnMut(&[S])) -> usize {
    let lives = steps.len().pow(length);
    for number in 0..lives {
        let mut rest = number;
        let life = (0..length).map(|_| {
            let step = steps[rest % steps.len()];
            rest /= steps.len();
            step
        });
        live(&life.collect::<Vec<S>>());
    }
    lives
}
