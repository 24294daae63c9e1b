//! The last line of a run.

use grid_testkit::crash::Verdict;
use serde::Serialize;

/// What a run came to, as its last line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) kills: u32,
    pub(crate) server_kills: u32,
    pub(crate) database_kills: u32,
    pub(crate) acked: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) diverged: u64,
}

impl Report {
    pub(crate) fn new(server_kills: u32, database_kills: u32, verdict: &Verdict) -> Self {
        Self {
            kills: server_kills + database_kills,
            server_kills,
            database_kills,
            acked: verdict.acked,
            lost: verdict.lost,
            doubled: verdict.doubled,
            diverged: verdict.diverged,
        }
    }

    /// Whether the run shows what it should: that a server that ships keeps its promises, or that
    /// one with a planted bug does not.
    pub(crate) fn is_as_it_should(&self, wanted_kills: u32, planted: bool) -> bool {
        if planted {
            self.lost > 0
        } else {
            let found = self.lost + self.doubled + self.diverged;
            self.kills >= wanted_kills && self.acked > 0 && found == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lost: u64, doubled: u64, diverged: u64) -> Report {
        let verdict = Verdict {
            acked: 9,
            lost,
            doubled,
            diverged,
            findings: Vec::new(),
        };
        Report::new(3, 2, &verdict)
    }

    #[test]
    fn the_line_has_its_fields_in_their_order() {
        let line = serde_json::to_string(&report(1, 2, 3)).unwrap();
        let expected = "{\"kills\":5,\"server_kills\":3,\"database_kills\":2,\"acked\":9,\
                        \"lost\":1,\"doubled\":2,\"diverged\":3}";
        assert_eq!(line, expected);
    }

    #[test]
    fn a_run_succeeds_without_findings_and_a_planted_one_with_losses_only() {
        assert!(report(0, 0, 0).is_as_it_should(5, false));
        assert!(!report(0, 0, 0).is_as_it_should(6, false), "too few kills");
        for found in [report(1, 0, 0), report(0, 1, 0), report(0, 0, 1)] {
            assert!(!found.is_as_it_should(5, false), "{found:?}");
        }
        assert!(report(1, 0, 4).is_as_it_should(5, true));
        assert!(!report(0, 7, 4).is_as_it_should(5, true));
        let idle = Report {
            acked: 0,
            ..report(0, 0, 0)
        };
        assert!(!idle.is_as_it_should(5, false), "nothing was written");
    }
}
