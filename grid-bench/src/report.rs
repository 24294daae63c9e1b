//! Showing figures: a table for people, JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::figure::Figure;

/// The figures beside their targets and limits.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut table = String::new();
    let mut row = |id: &str, value: &str, target: &str, limit: &str, met: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "{id:<28} {value:>14} {target:>14} {limit:>10}  {met}"
        );
    };
    row("figure", "measured", "target", "limit", "");
    for figure in figures {
        let number = |value: f64| format!("{value:.1}");
        row(
            &figure.id(),
            &format!("{} {}", number(figure.value), figure.unit),
            &figure.target.map_or_else(
                || "-".to_owned(),
                |target| format!("{} {}", figure.better.sign(), number(target)),
            ),
            &figure.limit.map_or_else(|| "-".to_owned(), number),
            match figure.meets_target() {
                Some(true) => "met",
                Some(false) => "missed",
                None => "",
            },
        );
    }
    table
}

/// The figures as an array of objects, for comparing runs.
pub(crate) fn json(figures: &[Figure]) -> String {
    let figures: Vec<Value> = figures
        .iter()
        .map(|figure| {
            json!({
                "suite": figure.suite,
                "case": figure.case,
                "metric": figure.metric,
                "value": figure.value,
                "unit": figure.unit,
                "better": figure.better.name(),
                "target": figure.target,
                "limit": figure.limit,
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(figures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Better;

    fn figures() -> Vec<Figure> {
        let figure = |case, value, target| Figure {
            suite: "core",
            case,
            metric: "ns",
            value,
            unit: "ns",
            better: Better::Lower,
            target,
            limit: target.map(|target: f64| target / 2.0),
        };
        vec![
            figure("good", 99.96, Some(100.0)),
            figure("bad", 100.04, Some(100.0)),
            figure("free", 5.0, None),
        ]
    }

    #[test]
    fn the_table_judges_the_figure_and_not_its_rounded_form() {
        let table = table(&figures());
        let line = |id: &str| {
            let line = table.lines().find(|line| line.starts_with(id));
            line.map(|line| line.split_whitespace().collect::<Vec<_>>())
        };
        let cells = |text: &'static str| Some(text.split(' ').collect::<Vec<_>>());
        assert_eq!(
            line("core/good/ns"),
            cells("core/good/ns 100.0 ns ≤ 100.0 50.0 met")
        );
        assert_eq!(
            line("core/bad/ns"),
            cells("core/bad/ns 100.0 ns ≤ 100.0 50.0 missed")
        );
        assert_eq!(line("core/free/ns"), cells("core/free/ns 5.0 ns - -"));
    }

    #[test]
    fn the_json_form_holds_every_field() {
        let value: Value = serde_json::from_str(&json(&figures())).expect("parses");
        assert_eq!(
            value[0],
            json!({
                "suite": "core", "case": "good", "metric": "ns", "value": 99.96, "unit": "ns",
                "better": "lower", "target": 100.0, "limit": 50.0
            })
        );
        assert_eq!(value[2]["target"], Value::Null);
    }
}
