//! A run as a sequence diagram: one HTML file that needs nothing else.

use super::outcome::Outcome;
use super::timeline;

/// A recorded run as a page.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    format!("<pre>{}</pre>", timeline::render(outcome))
}
