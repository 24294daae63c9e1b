//! The page around the diagram.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::columns::Columns;
use super::drawing::Drawing;
use super::markup::escaped;
use super::row::Script;
use super::script;
use crate::scenario::outcome::Outcome;
use crate::scenario::world::DIRECTOR;

const STYLE: &str = include_str!("page.css");
const BEHAVIOUR: &str = include_str!("page.js");

/// A recorded run as one page of HTML that needs nothing else: a sequence diagram with a lifeline
/// for each party, and time downward.
///
/// ```
/// use grid_testkit::scenario::{Simulation, render_diagram};
///
/// let simulation = Simulation::new("example").ops_per_device(3);
/// let outcome = simulation.record(42, &simulation.plan(42));
/// let page = render_diagram(&outcome);
/// assert!(page.starts_with("<!DOCTYPE html>"));
/// ```
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let script = script::of(outcome);
    let columns = Columns::of(&script);
    let title = format!("{}, seed {}", outcome.simulation, outcome.seed);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        title = escaped(&title)
    );
    page.push_str(&head(outcome, &script, &title));
    page.push_str(&top(&script, &columns));
    page.push_str(&Drawing::of(outcome, &script, &columns).svg());
    let _ = write!(
        page,
        "<pre id=\"details\" role=\"status\">Choose a row: click it, or move with the arrow keys.\
         </pre>\n<script>\n{BEHAVIOUR}</script>\n</body>\n</html>\n"
    );
    page
}

fn head(outcome: &Outcome, script: &Script, title: &str) -> String {
    let verdict = match &outcome.failure {
        Some(failure) => format!("<p class=\"failure\">✗ {}</p>", escaped(failure)),
        None => "<p class=\"holds\">✓ Everything holds, and all parties agree.</p>".to_owned(),
    };
    let counts = outcome.counts;
    let left_out = match script.left_out {
        0 => String::new(),
        count => format!(
            " The first {count} rows are left out: at most {} are drawn.",
            script::MOST_ROWS
        ),
    };
    format!(
        "<header>\n<h1>{}</h1>\n{verdict}\n\
         <p>Steps: {}. Operations: {}. Power cuts: {}. Cuts of the network: {}.{left_out}</p>\n\
         <details><summary>The plan, and how to replay it</summary>\n<pre>{}</pre>\n\
         <pre>{}</pre></details>\n{LEGEND}\n</header>\n",
        escaped(title),
        counts.steps,
        counts.ops,
        counts.crashes,
        counts.cuts,
        escaped(&outcome.plan.to_string()),
        escaped(&outcome.replay()),
    )
}

const LEGEND: &str = "<ul class=\"legend\">\
    <li><b>→</b> a frame, from where it was sent to where it arrived</li>\
    <li><b>—✗</b> one that was lost</li>\
    <li><b>- -→</b> one that arrives again</li>\
    <li><b>●</b> an app writes</li><li><b>○</b> reads</li>\
    <li><b>◆</b> is told what became of a write</li>\
    <li><b>✕ ■</b> power goes and comes</li>\
    <li>orange ground: bad links; red: a cut; a bar on a lifeline: a wrong clock, or slow or failing \
    input and output</li></ul>";

fn top(script: &Script, columns: &Columns) -> String {
    let mut boxes = String::new();
    let mut names = String::new();
    for (party, x, name) in columns.all() {
        let class = if party == DIRECTOR {
            " class=\"director\""
        } else {
            let _ = write!(
                boxes,
                "<label><input type=\"checkbox\" checked data-party=\"{}\"> {name}</label>",
                party.0
            );
            ""
        };
        let name = if party == DIRECTOR { "faults" } else { &name };
        let x = if party == DIRECTOR { x - 8 } else { x };
        let _ = write!(names, "<text{class} x=\"{x}\" y=\"15\">{name}</text>");
    }
    let keys: BTreeSet<&String> = script.rows.iter().flat_map(|row| &row.keys).collect();
    let mut options = String::new();
    for key in keys {
        let _ = write!(options, "<option value=\"{}\">", escaped(key));
    }
    let width = columns.width();
    format!(
        "<div class=\"top\">\n<div class=\"controls\">\
         <fieldset><legend>Show</legend>{boxes}</fieldset>\
         <label>entry <input type=\"search\" id=\"key\" list=\"keys\" placeholder=\"map/key\"></label>\
         <datalist id=\"keys\">{options}</datalist>\
         <label><input type=\"checkbox\" id=\"idle\"> signs of life</label>\
         <span id=\"shown\" role=\"status\"></span></div>\n\
         <svg id=\"names\" width=\"{width}\" height=\"22\" aria-hidden=\"true\">{names}</svg>\n</div>\n"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario::{Event, Fault, Plan, Simulation, TimedEvent, TimedFault};
    use crate::sim::FrameFate;

    /// One device writes, though its way to the server is cut for a while.
    fn outcome() -> Outcome {
        let simulation = Simulation::new("a <b> c").ops_per_device(20);
        let fault = |at_ms, fault| TimedFault { at_ms, fault };
        let crash = Fault::CrashServer {
            server: 0,
            silent: false,
            down_ms: 400,
            after_io: 0,
        };
        let cut = Fault::Cut {
            device: 0,
            up: true,
            down: false,
        };
        let plan = Plan {
            ops: [(0, (0..20).collect())].into(),
            faults: vec![
                fault(1000, cut),
                fault(6000, Fault::Heal),
                fault(8000, crash),
            ],
            ..Plan::default()
        };
        simulation.record(5, &plan)
    }

    fn numbers(page: &str, attribute: &str) -> BTreeSet<usize> {
        let begin = format!(" {attribute}=\"");
        let parts = page.split(&begin).skip(1);
        let number = |part: &str| part.split('"').next().and_then(|text| text.parse().ok());
        parts.filter_map(number).collect()
    }

    #[test]
    fn everything_that_happens_is_drawn_once() {
        let outcome = outcome();
        let page = render(&outcome);
        let rows = page.matches("class=\"row").count();
        assert_eq!(numbers(&page, "data-to").last(), Some(&(rows - 1)));
        let writes = |event: &TimedEvent| matches!(event.event, Event::Write { .. });
        let written = outcome.events.iter().filter(|one| writes(one)).count();
        assert_eq!(page.matches("class=\"mark write\"").count(), written);
        let lost = |event: &TimedEvent| {
            let fate = FrameFate::Cut;
            matches!(event.event, Event::Frame { fate: now, .. } if now == fate)
        };
        let lost = outcome.events.iter().filter(|one| lost(one)).count();
        assert!(lost > 0 && page.matches("class=\"cross\"").count() >= lost);
        for name in [
            "mark dies",
            "mark comes",
            "band cut",
            "band down",
            "end whole",
        ] {
            assert!(page.contains(&format!("class=\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn it_needs_nothing_else_and_trusts_no_text() {
        let page = render(&outcome());
        for reference in ["src=", "href=", "@import", "url(http"] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert!(!page.contains("<b> c"), "the name is text");
        assert!(page.contains("a &lt;b&gt; c"));
    }

    #[test]
    fn what_broke_is_marked_at_the_end() {
        let mut outcome = outcome();
        outcome.failure = Some("cursors never skip".to_owned());
        let page = render(&outcome);
        assert!(page.contains("class=\"end broken\""));
        assert!(page.contains("✗ cursors never skip</text>"));
    }

    #[test]
    fn of_a_long_run_the_end_is_drawn_and_the_rest_is_told() {
        let mut outcome = outcome();
        let events = outcome.events.clone();
        while outcome.events.len() < script::MOST_ROWS * 2 {
            outcome.events.extend(events.iter().cloned());
        }
        let page = render(&outcome);
        assert_eq!(page.matches("class=\"row").count(), script::MOST_ROWS);
        assert!(page.contains("rows are left out"));
    }
}
