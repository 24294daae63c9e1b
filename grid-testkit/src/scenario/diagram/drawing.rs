//! Rows, arrows, lifelines and bands, each at its place.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::bands::{self, Band, Look};
use super::columns::{Columns, TIMES, is_server};
use super::flights::Flight;
use super::markup::{escaped, fitted, wrapped};
use super::row::{Mark, Row, Script};
use crate::scenario::outcome::Outcome;
use crate::scenario::world::{DIRECTOR, server_party};
use crate::sim::{FrameFate, PartyId};

/// Height of a row with words, in pixels.
const WORDS: i32 = 19;
/// Height of a row without.
const BARE: i32 = 8;
/// What a row is lower by if something happened long before it: a gap with its length in words.
const GAP: i32 = 34;
/// From when on a time in which nothing happens is a gap.
const QUIET: Duration = Duration::from_millis(300);
/// Height of a line of the last row.
const LINE: i32 = 16;
/// The most lines of the last row.
const MOST_LINES: usize = 5;

/// How far a frame that is lost comes, in percent of its way.
const LOST_PERCENT: i32 = 75;

/// Draws a run.
pub(super) struct Drawing<'a> {
    script: &'a Script,
    columns: &'a Columns,
    bands: Vec<Band>,
    /// How much lower each row is than the one before it, in pixels.
    heights: Vec<i32>,
    /// How low each row is.
    tops: Vec<i32>,
    svg: String,
}

impl<'a> Drawing<'a> {
    pub(super) fn of(outcome: &Outcome, script: &'a Script, columns: &'a Columns) -> Self {
        let mut drawing = Self {
            script,
            columns,
            bands: bands::of(outcome),
            heights: Vec::new(),
            tops: Vec::new(),
            svg: String::new(),
        };
        drawing.lay_out();
        drawing
    }

    /// The whole as SVG.
    pub(super) fn svg(mut self) -> String {
        let (width, height) = (self.columns.width(), self.height());
        self.put(&format!(
            "<svg id=\"diagram\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
             height=\"{height}\" role=\"listbox\" tabindex=\"0\" \
             aria-label=\"What happened, in order of time\">\n{MARKERS}\n"
        ));
        self.draw_bands();
        self.draw_lifelines();
        // All arrows lie below all words.
        for number in 0..self.script.rows.len() {
            self.draw_arrows(number);
        }
        for number in 0..self.script.rows.len() {
            self.draw_row(number);
        }
        self.put("</svg>\n");
        self.svg
    }

    fn height(&self) -> i32 {
        self.tops.last().copied().unwrap_or(0) + 24
    }

    fn put(&mut self, text: &str) {
        self.svg.push_str(text);
    }

    /// Gives each row its place. Time runs downward, but what is close together is drawn apart, and
    /// what is far apart is drawn together.
    fn lay_out(&mut self) {
        let mut last = self
            .script
            .rows
            .first()
            .map_or(Duration::ZERO, |row| row.at);
        let mut top = 8;
        for row in &self.script.rows {
            let words = match row.mark {
                Mark::End { .. } => {
                    let lines = i32::try_from(self.end_lines(row).len()).unwrap_or(1);
                    WORDS + lines * LINE
                }
                _ if row.label.is_empty() => BARE,
                _ => WORDS,
            };
            let mut height = words;
            if !row.idle {
                height += pause(row.at.saturating_sub(last));
                last = row.at;
                top += height;
            }
            self.heights.push(height);
            self.tops.push(top);
        }
    }

    fn end_lines(&self, row: &Row) -> Vec<String> {
        let mut lines = wrapped(&row.label, self.columns.width() - TIMES - 60);
        if lines.len() > MOST_LINES {
            lines.truncate(MOST_LINES);
            if let Some(last) = lines.last_mut() {
                last.push('…');
            }
        }
        lines
    }

    fn top(&self, row: usize) -> i32 {
        self.tops.get(row).copied().unwrap_or(0)
    }

    fn draw_bands(&mut self) {
        let server = self.columns.x(server_party(0));
        for band in self.bands.clone() {
            let x = self.columns.x(band.party);
            let (class, x, width) = match band.look {
                Look::Links => ("links", TIMES + 6, self.columns.width() - TIMES - 6),
                Look::Cut if x < server => ("cut", x, (server - x) / 2),
                Look::Cut => {
                    let width = (x - server) / 2;
                    ("cut", x - width, width)
                }
                Look::Clock => ("clock", x - 7, 3),
                Look::Io => ("io", x - 5, 10),
                Look::Down => ("down", x - 3, 6),
                Look::Up => continue,
            };
            let (from, to) = band.rows(self.script);
            let (y, height) = (self.top(from), self.top(to) - self.top(from));
            let title = format!(
                "{}, from {} to {}",
                band.title,
                seconds(band.from),
                seconds(band.to)
            );
            self.put(&format!(
                "<rect class=\"band {class}\" data-from=\"{from}\" data-to=\"{to}\" x=\"{x}\" \
                 y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>\n",
                escaped(&title)
            ));
        }
    }

    /// A line for each party while it is up.
    fn draw_lifelines(&mut self) {
        let mut up: BTreeMap<PartyId, Vec<(usize, usize)>> = BTreeMap::new();
        for band in &self.bands {
            if matches!(band.look, Look::Up | Look::Down) {
                let parts = up.entry(band.party).or_default();
                if band.look == Look::Up {
                    parts.push(band.rows(self.script));
                }
            }
        }
        let last = self.script.rows.len().saturating_sub(1);
        for (party, x, _) in self.columns.all().collect::<Vec<_>>() {
            for (from, to) in up.get(&party).cloned().unwrap_or_else(|| vec![(0, last)]) {
                let (y1, y2) = (self.top(from), self.top(to));
                self.put(&format!(
                    "<line class=\"life\" data-p=\"{}\" data-from=\"{from}\" data-to=\"{to}\" \
                     x1=\"{x}\" x2=\"{x}\" y1=\"{y1}\" y2=\"{y2}\"/>\n",
                    party.0
                ));
            }
        }
    }

    fn draw_row(&mut self, number: usize) {
        let Some(row) = self.script.rows.get(number) else {
            return;
        };
        let height = self.heights.get(number).copied().unwrap_or(0);
        let parties: Vec<String> = row
            .parties
            .iter()
            .map(|party| party.0.to_string())
            .collect();
        let mut group = format!(
            "<g class=\"row{}\" id=\"r{number}\" role=\"option\" data-h=\"{height}\" \
             data-p=\"{}\" data-k=\"{}\" transform=\"translate(0,{})\"><title>{}\n{}</title>",
            if row.idle { " idle" } else { "" },
            parties.join(" "),
            escaped(&row.keys.join("\n")),
            self.top(number),
            seconds(row.at),
            escaped(&row.details)
        );
        self.draw_time(&mut group, number, row);
        match row.mark {
            Mark::Sent(flight) => {
                if let Some(flight) = self.script.flights.get(flight) {
                    self.draw_flight(&mut group, row, flight);
                }
            }
            // Its arrow begins where it was sent; here is only what can be chosen.
            Mark::Arrived(_) => {
                let x = self.columns.x(row.party);
                let _ = write!(group, "<circle class=\"arrived\" cx=\"{x}\" r=\"2\"/>");
            }
            Mark::End { broken } => self.draw_end(&mut group, row, broken),
            Mark::Stored { failed } => self.draw_stored(&mut group, row, failed),
            _ => self.draw_doing(&mut group, row),
        }
        group.push_str("</g>\n");
        self.put(&group);
    }

    /// The time beside a row; and above it, how long nothing happened.
    fn draw_time(&self, group: &mut String, number: usize, row: &Row) {
        let before = self.script.rows.get(..number).unwrap_or_default();
        let before = before.iter().rfind(|row| !row.idle).map(|row| row.at);
        let quiet = before.map_or(Duration::ZERO, |before| row.at.saturating_sub(before));
        if quiet >= QUIET && !row.idle {
            let (y, width) = (-WORDS - GAP / 2 + 3, self.columns.width());
            let _ = write!(
                group,
                "<line class=\"gap\" x1=\"{}\" x2=\"{width}\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"gap\" x=\"{}\" y=\"{}\">after {}</text>",
                TIMES + 26,
                TIMES + 20,
                y + 4,
                seconds_short(quiet)
            );
        }
        if !row.label.is_empty() {
            let before = before_words(self.script.rows.get(..number).unwrap_or_default());
            let again = before == Some(row.at);
            let _ = write!(
                group,
                "<text class=\"time{}\" x=\"{TIMES}\" y=\"3\">{}</text>",
                if again { " again" } else { "" },
                seconds(row.at)
            );
        }
    }

    /// The arrows of the frame that leaves in a row.
    fn draw_arrows(&mut self, number: usize) {
        let Some(row) = self.script.rows.get(number) else {
            return;
        };
        let Mark::Sent(flight) = row.mark else { return };
        let Some(flight) = self.script.flights.get(flight) else {
            return;
        };
        let here = self.top(number);
        let (x, to) = self.ends(row);
        let class = way(row, flight);
        let mut group = format!(
            "<g class=\"arrows{}\" data-row=\"{number}\" transform=\"translate(0,{here})\">",
            if row.idle { " idle" } else { "" }
        );
        for (index, arrival) in flight.arrived.iter().enumerate() {
            let y = self.top(*arrival) - here;
            let again = if index > 0 { " again" } else { "" };
            let end = if to < x { to + 2 } else { to - 2 };
            let _ = write!(
                group,
                "<line class=\"frame {class}{again}\" data-to=\"{arrival}\" x1=\"{x}\" y1=\"0\" \
                 x2=\"{end}\" y2=\"{y}\" marker-end=\"url(#{class})\"/>"
            );
        }
        if flight.arrived.is_empty() {
            let end = x + (to - x) * LOST_PERCENT / 100;
            let _ = write!(
                group,
                "<line class=\"frame lost\" x1=\"{x}\" x2=\"{end}\"/>\
                 <path class=\"cross\" d=\"M{} -4l8 8m0 -8l-8 8\"/>",
                end - 4
            );
        }
        group.push_str("</g>\n");
        self.put(&group);
    }

    /// Where what happens between two parties begins and ends.
    fn ends(&self, row: &Row) -> (i32, i32) {
        let x = self.columns.x(row.party);
        let other = row.parties.iter().find(|party| **party != row.party);
        (x, other.map_or(x, |party| self.columns.x(*party)))
    }

    fn draw_flight(&self, group: &mut String, row: &Row, flight: &Flight) {
        let (x, to) = self.ends(row);
        let (anchor, at) = if to < x {
            ("end", x - 10)
        } else {
            ("start", x + 10)
        };
        let class = way(row, flight);
        let mut label = String::new();
        for (fate, sign) in [
            (FrameFate::Corrupted, "corrupt "),
            (FrameFate::Duplicated, "twice "),
            (FrameFate::Reordered, "overtakes "),
        ] {
            if flight.has(fate) {
                label.push_str(sign);
            }
        }
        label.push_str(&row.label);
        let lost = flight.arrived.is_empty();
        let room = (to - x).abs() * if lost { LOST_PERCENT } else { 100 } / 100 - 24;
        let _ = write!(
            group,
            "<circle class=\"from {class}\" cx=\"{x}\" r=\"2\"/>\
             <text class=\"label {}\" text-anchor=\"{anchor}\" x=\"{at}\" y=\"-4\">{}</text>",
            if lost { "lost" } else { class },
            escaped(&fitted(&label, room))
        );
    }

    fn draw_stored(&self, group: &mut String, row: &Row, failed: bool) {
        let (x, to) = self.ends(row);
        let class = if failed { "lost" } else { "store" };
        let end = if failed {
            x + (to - x) * 6 / 10
        } else {
            to - 2
        };
        let _ = write!(
            group,
            "<line class=\"frame {class}\" x1=\"{x}\" y1=\"0\" x2=\"{end}\" y2=\"0\"{}/>",
            if failed {
                ""
            } else {
                " marker-end=\"url(#store)\""
            }
        );
        if failed {
            let _ = write!(
                group,
                "<path class=\"cross\" d=\"M{} -4l8 8m0 -8l-8 8\"/>",
                end - 4
            );
        }
        let label = fitted(&row.label, (to - x).abs() - 14);
        let _ = write!(
            group,
            "<text class=\"label {class}\" x=\"{}\" y=\"-4\">{}</text>",
            x + 8,
            escaped(&label)
        );
    }

    /// What a party does or suffers by itself.
    fn draw_doing(&self, group: &mut String, row: &Row) {
        let x = self.columns.x(row.party);
        let (class, mark) = match row.mark {
            Mark::Write => ("write", format!("<circle cx=\"{x}\" r=\"4.5\"/>")),
            Mark::Read => ("read", format!("<circle cx=\"{x}\" r=\"4\"/>")),
            Mark::Told(look) => (look, format!("<path d=\"M{x} -5l5 5l-5 5l-5 -5z\"/>")),
            Mark::Down => (
                "dies",
                format!("<path d=\"M{} -6l12 12m0 -12l-12 12\"/>", x - 6),
            ),
            Mark::Up => (
                "comes",
                format!("<rect x=\"{}\" y=\"-4\" width=\"8\" height=\"8\"/>", x - 4),
            ),
            _ => (
                "fault",
                format!("<path d=\"M{} -6l-5 7h4l-3 6l7 -8h-4l4 -5z\"/>", x + 1),
            ),
        };
        let left = row.party != DIRECTOR && self.columns.is_left(row.party);
        let (anchor, at) = if left {
            ("end", x - 12)
        } else {
            ("start", x + 12)
        };
        let label = fitted(&row.label, self.columns.room(row.party));
        let _ = write!(
            group,
            "<g class=\"mark {class}\">{mark}</g><text class=\"label {class}\" \
             text-anchor=\"{anchor}\" x=\"{at}\" y=\"4\">{}</text>",
            escaped(&label)
        );
    }

    fn draw_end(&self, group: &mut String, row: &Row, broken: bool) {
        let lines = self.end_lines(row);
        let height = i32::try_from(lines.len()).unwrap_or(1) * LINE + 12;
        let class = if broken { "broken" } else { "whole" };
        let (x, width) = (TIMES + 8, self.columns.width() - TIMES - 16);
        let _ = write!(
            group,
            "<rect class=\"end {class}\" x=\"{x}\" y=\"{}\" width=\"{width}\" \
             height=\"{height}\" rx=\"4\"/>",
            14 - height
        );
        for (index, line) in lines.iter().enumerate() {
            let index = i32::try_from(index).unwrap_or(0);
            let y = 14 - height + 18 + index * LINE;
            let sign = match (index, broken) {
                (0, true) => "✗ ",
                (0, false) => "✓ ",
                _ => "  ",
            };
            let _ = write!(
                group,
                "<text class=\"end {class}\" x=\"{}\" y=\"{y}\" xml:space=\"preserve\">{sign}{}</text>",
                x + 12,
                escaped(line)
            );
        }
    }
}

/// Which way a frame goes, or that it is damaged.
fn way(row: &Row, flight: &Flight) -> &'static str {
    match (flight.has(FrameFate::Corrupted), is_server(row.party)) {
        (true, _) => "corrupt",
        (false, true) => "down",
        (false, false) => "up",
    }
}

/// When the last row with words happened.
fn before_words(rows: &[Row]) -> Option<Duration> {
    let last = rows.iter().rfind(|row| !row.idle && !row.label.is_empty());
    last.map(|row| row.at)
}

/// How much lower a row is because of the time since the one before it.
fn pause(quiet: Duration) -> i32 {
    if quiet >= QUIET {
        return GAP;
    }
    // Twice as long is three pixels more.
    let doublings = quiet.as_millis().checked_ilog2().unwrap_or(0);
    i32::try_from(doublings).unwrap_or(0) * 2
}

fn seconds(at: Duration) -> String {
    format!("{:.4} s", at.as_secs_f64())
}

fn seconds_short(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// The heads of arrows.
const MARKERS: &str = concat!(
    "<defs>",
    "<marker id=\"up\" class=\"head up\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
     markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
     <path d=\"M0 0.5L8 4L0 7.5z\"/></marker>",
    "<marker id=\"down\" class=\"head down\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
     markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
     <path d=\"M0 0.5L8 4L0 7.5z\"/></marker>",
    "<marker id=\"corrupt\" class=\"head corrupt\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
     markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
     <path d=\"M0 0.5L8 4L0 7.5z\"/></marker>",
    "<marker id=\"store\" class=\"head store\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
     markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
     <path d=\"M0 0.5L8 4L0 7.5z\"/></marker>",
    "</defs>"
);
