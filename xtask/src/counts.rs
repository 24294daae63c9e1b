//! How many tests passed and failed, read from the output of `cargo test`.

use std::fmt;
use std::ops::AddAssign;

/// Numbers of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Counts {
    /// The numbers in one line of output, if it is the closing line of a test binary.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let line = strip_colour(line);
        let rest = line.trim().strip_prefix("test result: ")?;
        let (_verdict, rest) = rest.split_once(". ")?;
        let mut counts = Self::default();
        let mut seen = 0;
        for part in rest.split("; ") {
            let (number, what) = part.split_once(' ').unwrap_or((part, ""));
            let slot = match what {
                "passed" => &mut counts.passed,
                "failed" => &mut counts.failed,
                "ignored" => &mut counts.ignored,
                _ => continue,
            };
            *slot = number.parse().ok()?;
            seen += 1;
        }
        (seen == 3).then_some(counts)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// The closing line by which people and machines read a run.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// `line` without the escape sequences that set colours.
fn strip_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or("", |end| &after[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, ignored: u64) -> Counts {
        Counts {
            passed,
            failed,
            ignored,
        }
    }

    #[test]
    fn reads_the_closing_line_of_a_test_binary() {
        let line = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; finished in 0.05s\n";
        assert_eq!(Counts::of_line(line), Some(counts(12, 0, 3)));
        let line = "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s";
        assert_eq!(Counts::of_line(line), Some(counts(7, 2, 0)));
    }

    #[test]
    fn reads_through_colours() {
        let line = "test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(Counts::of_line(line), Some(counts(4, 0, 1)));
        let line = "\u{1b}[1mtest result: \u{1b}[31mFAILED\u{1b}[0m. 0 passed; 9 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(Counts::of_line(line), Some(counts(0, 9, 0)));
    }

    #[test]
    fn takes_no_other_line() {
        for line in [
            "",
            "test result: ok.",
            "test result: ok. 3 passed; 0 failed",
            "test result: ok. x passed; 0 failed; 0 ignored",
            "test tests::result ... ok",
            "running 3 tests",
            "3 passed, 0 failed",
            "note: test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured",
        ] {
            assert_eq!(Counts::of_line(line), None, "{line}");
        }
    }

    #[test]
    fn sums_up_and_closes() {
        let mut sum = counts(1, 0, 2);
        sum += counts(10, 3, 0);
        assert_eq!(sum, counts(11, 3, 2));
        assert_eq!(sum.to_string(), "11 passed, 3 failed");
    }
}
