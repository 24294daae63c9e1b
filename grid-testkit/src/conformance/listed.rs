//! That no case of a suite is forgotten in its macro.

/// Compares the public functions in `cases` with the names that `suite` gives its macro.
pub(super) fn assert_every_case_is_listed(suite: &str, cases: &[&str]) {
    let mut written: Vec<&str> = cases
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("pub "))
        .map(|line| line.strip_prefix("async ").unwrap_or(line))
        .filter_map(|line| line.strip_prefix("fn "))
        .filter_map(|rest| rest.split(['<', '(']).next())
        .collect();
    let mut listed: Vec<&str> = suite
        .lines()
        .skip_while(|line| !line.contains("@cases $module"))
        .skip(1)
        .take_while(|line| line.trim() != "}")
        .map(|line| line.trim().trim_end_matches(','))
        .collect();
    assert!(!written.is_empty(), "found no case in the sources");
    written.sort_unstable();
    listed.sort_unstable();
    assert_eq!(written, listed, "cases written, and cases in the macro");
}
