//! `grid admin`.

use std::time::Duration;

use hybrid_grid::{Error, ErrorKind};
use serde_json::{Map, Value, json};

use super::table::{aligned, roughly};
use crate::admin::{AdminClient, Answer};
use crate::args::{AdminArgs, AdminCommand, LetterCommand};
use crate::exit::{Outcome, Result, Stop, usage};
use crate::output::{Output, plain};

/// Dead letters that are asked for at once.
const PAGE: usize = 500;

const OK: u16 = 200;
const NO_CONTENT: u16 = 204;
const NOT_FOUND: u16 = 404;
const UNAVAILABLE: u16 = 503;

/// Asks a server as its operator.
pub(crate) fn admin(asked: &AdminArgs, timeout: Option<f64>, output: Output) -> Result<Outcome> {
    let client = AdminClient::new(&asked.url, timeout)?;
    match &asked.command {
        AdminCommand::Health => health(&client, output),
        AdminCommand::Metrics => metrics(&client, output),
        AdminCommand::Lag { limit } => lag(&client, *limit, output),
        AdminCommand::DeadLetters(LetterCommand::List) => list(&client, output),
        AdminCommand::DeadLetters(LetterCommand::Retry { id }) => {
            let answer = client.post(&format!("{}/retry", path(id)?))?;
            settled(&answer, id, "stored", output)
        }
        AdminCommand::DeadLetters(LetterCommand::Drop { id }) => {
            let answer = client.delete(&path(id)?)?;
            settled(&answer, id, "dropped", output)
        }
    }
}

fn health(client: &AdminClient, output: Output) -> Result<Outcome> {
    let answer = client.get("/health")?;
    if !matches!(answer.code, OK | UNAVAILABLE) {
        return Err(refused(&answer));
    }
    let health = answer.json()?;
    let status = health["status"].as_str().unwrap_or_default();
    let reasons = health["reasons"].as_array().into_iter().flatten();
    let reasons = reasons.filter_map(Value::as_str).map(plain);
    let lines: Vec<String> = std::iter::once(status.to_owned()).chain(reasons).collect();
    output.result(&lines.join("\n  "), &health)?;
    Ok(match answer.code {
        OK => Outcome::Done,
        _ => Outcome::Degraded,
    })
}

fn metrics(client: &AdminClient, output: Output) -> Result<Outcome> {
    let answer = client.get("/metrics")?;
    if answer.code != OK {
        return Err(refused(&answer));
    }
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples: Vec<(&str, &str)> = lines.filter_map(|line| line.rsplit_once(' ')).collect();
    let width = samples.iter().map(|(name, _)| name.len()).max();
    let width = width.unwrap_or_default();
    let table = samples
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"));
    let table: Vec<String> = table.collect();
    let object: Map<String, Value> = samples
        .iter()
        .map(|(name, value)| {
            let number = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            ((*name).to_owned(), number)
        })
        .collect();
    output.result(&table.join("\n"), &Value::Object(object))?;
    Ok(Outcome::Done)
}

/// Prints the partitions with which the database is furthest behind, or something is wrong.
fn lag(client: &AdminClient, limit: u16, output: Output) -> Result<Outcome> {
    let answer = client.get(&format!("/partitions?limit={limit}"))?;
    if answer.code != OK {
        return Err(refused(&answer));
    }
    let lag = answer.json()?;
    let partitions = lag["partitions"].as_array().map_or(&[][..], Vec::as_slice);
    if output.json {
        for partition in partitions {
            output.line(&partition.to_string())?;
        }
        return Ok(Outcome::Done);
    }
    if partitions.is_empty() {
        eprintln!("the database has everything");
        return Ok(Outcome::Done);
    }
    let head = ["PARTITION", "OPS", "BYTES", "AGE", "LETTERS", "TROUBLE"].map(str::to_owned);
    let rows: Vec<[String; 6]> = partitions.iter().map(lag_row).collect();
    for line in aligned(&[vec![head], rows].concat(), 0) {
        output.line(line.trim_end())?;
    }
    Ok(Outcome::Done)
}

fn lag_row(partition: &Value) -> [String; 6] {
    let seconds = partition["lag_seconds"].as_f64().unwrap_or_default();
    let age = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    [
        partition["partition"].to_string(),
        partition["lag_ops"].to_string(),
        partition["lag_bytes"].to_string(),
        roughly(age),
        partition["dead_letters"].to_string(),
        plain(partition["trouble"].as_str().unwrap_or_default()),
    ]
}

/// Prints every letter, page by page.
fn list(client: &AdminClient, output: Output) -> Result<Outcome> {
    let mut after = String::new();
    let mut seen = 0;
    loop {
        let answer = client.get(&format!("/dead-letters?limit={PAGE}{after}"))?;
        if answer.code != OK {
            return Err(refused(&answer));
        }
        let page = answer.json()?;
        let letters = page["dead_letters"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if output.json {
            for letter in letters {
                output.line(&letter.to_string())?;
            }
        } else {
            for line in table(letters, seen == 0) {
                output.line(&line)?;
            }
        }
        seen += letters.len();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    if seen == 0 {
        eprintln!("there are no dead letters");
    }
    Ok(Outcome::Done)
}

/// Letters as the lines of a table.
fn table(letters: &[Value], with_head: bool) -> Vec<String> {
    let mut rows: Vec<[String; 6]> = letters.iter().map(row).collect();
    if with_head && !rows.is_empty() {
        rows.insert(
            0,
            ["ID", "MAP", "KEY", "BYTES", "AGE", "REASON"].map(str::to_owned),
        );
    }
    aligned(&rows, 3)
}

fn row(letter: &Value) -> [String; 6] {
    let text = |name: &str| plain(letter[name].as_str().unwrap_or_default());
    let map = match letter["namespace"].as_str() {
        Some("default") | None => text("map"),
        Some(_) => format!("{}/{}", text("namespace"), text("map")),
    };
    let bytes = match letter["removed"].as_bool() {
        Some(true) => "removed".to_owned(),
        _ => letter["value_bytes"].to_string(),
    };
    let refused_at = letter["refused_at_ms"].as_u64().unwrap_or_default();
    [
        text("id"),
        map,
        text("key"),
        bytes,
        age(refused_at),
        text("reason"),
    ]
}

/// How long ago that was, roughly.
fn age(at_ms: u64) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the program, whose user reads the wall clock"
    )]
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH);
    let age = now
        .unwrap_or_default()
        .saturating_sub(Duration::from_millis(at_ms));
    roughly(age)
}

/// The path of a letter.
///
/// # Errors
/// [`Stop::Usage`] when no letter has such an id.
fn path(id: &str) -> Result<String> {
    let is_id = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if id.is_empty() || !id.chars().all(is_id) {
        return Err(usage(
            "settle dead letter",
            "no letter has such an id: take it from `grid admin dead-letters list`",
        ));
    }
    Ok(format!("/dead-letters/{id}"))
}

fn settled(answer: &Answer, id: &str, what: &str, output: Output) -> Result<Outcome> {
    match answer.code {
        NO_CONTENT => {
            output.result(
                &format!("{what}  {id}"),
                &json!({ "id": id, "settled": what }),
            )?;
            Ok(Outcome::Done)
        }
        NOT_FOUND => {
            eprintln!("error: {}", plain(&answer.refusal()?));
            Ok(Outcome::Absent)
        }
        _ => Err(refused(answer)),
    }
}

/// What the server says is wrong with what it was asked.
fn refused(answer: &Answer) -> Stop {
    let message = match answer.refusal() {
        Ok(message) => plain(&message),
        Err(stop) => return stop,
    };
    let kind = match answer.code {
        UNAVAILABLE => ErrorKind::Unavailable,
        409 => ErrorKind::Conflict,
        403 => ErrorKind::Forbidden,
        _ => ErrorKind::Invalid,
    };
    Stop::Failed(Error::new(kind, "ask admin listener", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_shows_nothing_that_moves_the_cursor() {
        let letter = |key: &str, reason: &str| {
            json!({
                "id": "00001-aa", "namespace": "default", "map": "m", "key": key,
                "removed": false, "value_bytes": 3, "reason": reason, "refused_at_ms": 0,
            })
        };
        let lines = table(
            &[letter("k", "no"), letter("long\u{1b}[2J", "never\nmore")],
            true,
        );
        assert_eq!(lines.len(), 3);
        let column = lines[0].find("REASON").unwrap();
        assert!(lines[1][column..].starts_with("no"), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    }

    #[test]
    fn an_id_that_would_be_another_path_is_refused() {
        assert_eq!(path("00001-ab").unwrap(), "/dead-letters/00001-ab");
        for wrong in ["", "a/b", "a?x", "..", "a b"] {
            assert!(matches!(path(wrong), Err(Stop::Usage(_))), "{wrong}");
        }
    }
}
