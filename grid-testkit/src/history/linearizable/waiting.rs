//! The steps that have not taken effect, in the order of their calls: a doubly linked list, from
//! which a step is taken, and to which it goes back, in constant time (Knuth's "dancing links").

/// A list of the numbers below some bound. What was removed last must be put back first.
pub(super) struct Waiting {
    /// By number plus one, the next number plus one; 0 stands for both ends.
    next: Vec<usize>,
    before: Vec<usize>,
}

impl Waiting {
    /// All numbers below `bound`.
    pub(super) fn new(bound: usize) -> Self {
        let next = (1..=bound).chain([0]).collect();
        let before = [bound].into_iter().chain(0..bound).collect();
        Self { next, before }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let next = |number: usize| self.next.get(number).copied().filter(|next| *next != 0);
        std::iter::successors(next(0), move |number| next(*number)).map(|number| number - 1)
    }

    pub(super) fn remove(&mut self, number: usize) {
        let (before, next) = self.neighbours(number);
        link(&mut self.next, before, next);
        link(&mut self.before, next, before);
    }

    pub(super) fn put_back(&mut self, number: usize) {
        let (before, next) = self.neighbours(number);
        link(&mut self.next, before, number + 1);
        link(&mut self.before, next, number + 1);
    }

    fn neighbours(&self, number: usize) -> (usize, usize) {
        let at = |list: &[usize]| list.get(number + 1).copied().unwrap_or(0);
        (at(&self.before), at(&self.next))
    }
}

fn link(list: &mut [usize], from: usize, to: usize) {
    if let Some(slot) = list.get_mut(from) {
        *slot = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_stands_where_it_stood() {
        let mut waiting = Waiting::new(5);
        let all = |waiting: &Waiting| waiting.iter().collect::<Vec<_>>();
        for number in [0, 4, 2] {
            waiting.remove(number);
        }
        assert_eq!(all(&waiting), [1, 3]);
        for number in [2, 4, 0] {
            waiting.put_back(number);
        }
        assert_eq!(all(&waiting), [0, 1, 2, 3, 4]);
        assert!(all(&Waiting::new(0)).is_empty());
    }
}
