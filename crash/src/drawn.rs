//! The settings of a server, drawn anew for each life: small batches and large, journals that roll
//! all the time and journals that never do.

use fastrand::Rng;

/// How many partitions a data set has.
pub(crate) const PARTITIONS: u16 = 16;

/// The values from which one is drawn.
const CHOICES: &[(&str, &[&str])] = &[
    ("--workers", &["1", "2", "4"]),
    ("--map-spread", &["1", "4", "16"]),
    ("--flush-interval-ms", &["10", "100", "1000"]),
    ("--flush-records", &["20", "500", "5000"]),
    ("--journal-segment-bytes", &["65536", "1048576", "67108864"]),
    ("--batch-ops", &["8", "4096"]),
    ("--housekeeping-ms", &["20", "1000"]),
    ("--retry-after-ms", &["10", "250"]),
];

/// Flags for a server.
pub(crate) fn flags(rng: &mut Rng) -> Vec<String> {
    let mut flags = vec!["--partition-count".to_owned(), PARTITIONS.to_string()];
    for (flag, values) in CHOICES {
        let value = values[rng.usize(..values.len())];
        flags.extend([(*flag).to_owned(), value.to_owned()]);
    }
    flags
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hybrid_grid::server::config::{Layers, SETTINGS};

    use super::*;

    #[test]
    fn all_that_is_drawn_is_a_setting_within_its_bounds_and_differs_by_seed() {
        let mut all = BTreeSet::new();
        for seed in 0..50 {
            let flags = flags(&mut Rng::with_seed(seed));
            let mut layers = Layers::defaults();
            for pair in flags.chunks(2) {
                let named = SETTINGS
                    .iter()
                    .find(|each| format!("--{}", each.flag()) == pair[0]);
                layers = layers.value(named.unwrap().name, &pair[1]).unwrap();
            }
            all.insert(flags);
        }
        assert!(all.len() > 40, "{}", all.len());
    }
}
