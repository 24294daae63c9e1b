use hybrid_grid::{ErrorKind, Result};
use serde_json::{Value, json};

use super::open;
use super::record::Record;
use crate::exit::Stop;

fn import(name: &str, content: impl AsRef<[u8]>, key: Option<&str>) -> Vec<Result<Record>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    match open(&path, key) {
        Ok(import) => import.records.collect(),
        Err(Stop::Failed(error) | Stop::Usage(error)) => vec![Err(error)],
        Err(stop) => panic!("{stop}"),
    }
}

fn good(name: &str, content: impl AsRef<[u8]>) -> Vec<(u64, String, Value)> {
    import(name, content, None)
        .into_iter()
        .map(Result::unwrap)
        .map(|record| (record.line, record.key, record.value))
        .collect()
}

/// How many records come before the error, and the error.
#[track_caller]
fn fault(name: &str, content: impl AsRef<[u8]>) -> (usize, String) {
    let mut records = import(name, content, None);
    let last = records.pop().expect("an error").unwrap_err().to_string();
    assert!(last.contains(name), "the file is named: {last}");
    (records.into_iter().map(Result::unwrap).count(), last)
}

#[track_caller]
fn says(fault: (usize, String), before: usize, words: &[&str]) {
    let (found, text) = fault;
    assert_eq!(found, before, "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn all_formats_give_the_same_records_and_keep_the_key_in_the_value() {
    let expected = [
        ("DE", json!({"code": "DE", "name": "Germany, \"old\""})),
        ("CI", json!({"code": "CI", "name": "Côte d'Ivoire"})),
    ];
    let array = json!([expected[0].1, expected[1].1]).to_string();
    let lines = format!("{}\n\n{}\n", expected[0].1, expected[1].1);
    let csv = "code,name\nDE,\"Germany, \"\"old\"\"\"\nCI,Côte d'Ivoire\n";
    for (name, content) in [
        ("a.json", array.as_str()),
        ("a.jsonl", &lines),
        ("a.NDJSON", &lines),
        ("a.csv", csv),
        ("a.csv", &csv.replace('\n', "\r\n")),
    ] {
        for mark in ["", "\u{feff}"] {
            let found: Vec<(String, Value)> =
                import(name, format!("{mark}{content}"), Some("code"))
                    .into_iter()
                    .map(Result::unwrap)
                    .map(|record| (record.key, record.value))
                    .collect();
            let found: Vec<_> = found.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
            assert_eq!(found, expected, "{name} {mark:?}");
        }
    }
}

#[test]
fn an_export_comes_back_and_an_id_is_the_key_if_none_is_named() {
    let lines = "{\"key\":\"k\",\"value\":[1]}\n\n{\"id\":7}\n";
    let records = good("a.jsonl", lines);
    let expected = [
        (1, "k".to_owned(), json!([1])),
        (3, "7".to_owned(), json!({"id": 7})),
    ];
    assert_eq!(records, expected);
    let again = import("a.jsonl", lines, Some("key"));
    let again = again[0].as_ref().unwrap();
    assert_eq!(again.value, json!({"key": "k", "value": [1]}));
}

#[test]
fn lines_with_faults_are_named_and_those_before_them_come() {
    let first = "{\"id\":1}\n{\"id\":2}\n";
    let bad = fault("a.jsonl", format!("{first}{{\"id\n{{\"id\":4}}\n"));
    says(bad, 2, &["line: 3", "JSON", "column"]);
    says(
        fault("a.jsonl", format!("{first}{{\"code\":1}}\n")),
        2,
        &["line: 3", "`id`", "--key", "code"],
    );
    says(
        fault("a.jsonl", [first.as_bytes(), b"{\"id\":\"\xe9\"}"].concat()),
        2,
        &["line: 3", "UTF-8"],
    );
    says(fault("a.jsonl", "{\"id\":\"\"}"), 0, &["line: 1", "empty"]);
    says(fault("a.jsonl", "[1]"), 0, &["line: 1", "object"]);
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(513));
    says(fault("a.jsonl", long), 0, &["line: 1", "at most 512"]);
    let deep = format!("{{\"id\":1,\"v\":{}{}}}", "[".repeat(200), "]".repeat(200));
    says(fault("a.jsonl", deep), 0, &["line: 1", "recursion limit"]);
    let endless = vec![b'x'; 16 * 1024 * 1024 + 1];
    says(fault("a.jsonl", endless), 0, &["line: 1", "16777216 bytes"]);
    assert_eq!(good("a.jsonl", ""), []);
}

#[test]
fn keys_are_texts_or_numbers_that_are_kept_exactly() {
    let key = |key: &str| good("a.jsonl", format!("{{\"id\":{key}}}"))[0].1.clone();
    assert_eq!(key("18446744073709551615"), "18446744073709551615");
    assert_eq!(key("-9223372036854775808"), "-9223372036854775808");
    assert_eq!(key("\"ü/1\""), "ü/1");
    // They would be rounded, so that two may become one.
    for key in ["18446744073709551616", "1.5", "1e3", "null", "{}", "true"] {
        let line = format!("{{\"id\":{key}}}");
        says(fault("a.jsonl", line), 0, &["text or a whole number"]);
    }
    says(
        fault("a.jsonl", "{\"id\":1e400}"),
        0,
        &["number out of range"],
    );
}

#[test]
fn arrays_are_read_object_by_object_and_faults_name_the_line() {
    let spread = "\n[ {\"id\":\n1}\n,\n{\"id\":\"]}\"} ]\n\n";
    let records = good("a.json", spread);
    assert_eq!(records[0], (2, "1".to_owned(), json!({"id": 1})));
    assert_eq!(records[1], (5, "]}".to_owned(), json!({"id": "]}"})));
    assert_eq!(good("a.json", "[]"), []);
    for text in ["", "{}", "{\"a\":{\"id\":1}}", "null", "garbage"] {
        says(fault("a.json", text), 0, &["one JSON array", ".jsonl"]);
    }
    let one = "[{\"id\":1}";
    says(fault("a.json", one), 1, &["ends before the array"]);
    says(
        fault("a.json", format!("{one}\n,")),
        1,
        &["line: 2", "must be an object"],
    );
    says(fault("a.json", format!("{one} {{")), 1, &["comma"]);
    says(
        fault("a.json", format!("{one}]]")),
        1,
        &["follows the array"],
    );
    says(
        fault("a.json", format!("{one},\n2]")),
        1,
        &["line: 2", "must be an object"],
    );
    says(
        fault("a.json", format!("{one},\n{{x]")),
        1,
        &["line: 2", "no JSON"],
    );
    says(
        fault("a.json", format!("{one},\n{{\"id\"")),
        1,
        &["line: 2", "EOF"],
    );
    says(
        fault("a.json", format!("{one},\n\n{{\"x\":1}}]")),
        1,
        &["line: 3", "`id`"],
    );
}

#[test]
fn tables_with_faults_are_named_by_their_line() {
    let one = "id,name\n1,a\n";
    says(
        fault("a.csv", format!("{one}2\n3,c\n")),
        1,
        &["line: 3", "1 fields", "names 2"],
    );
    says(
        fault("a.csv", format!("{one}2,b,c\n")),
        1,
        &["line: 3", "3 fields"],
    );
    says(
        fault("a.csv", [one.as_bytes(), b"2,\xe9\n"].concat()),
        1,
        &["line: 3", "UTF-8"],
    );
    says(
        fault("a.csv", format!("{one},b\n")),
        1,
        &["line: 3", "empty"],
    );
    let open = fault("a.csv", format!("{one}2,\"b\n3,c\n"));
    says(open, 1, &["opens on line 3", "never closed"]);
    // What only looks open is not.
    let closed = "id,name\n1,\"a \"\"b\"\"\"\n2,5\" pipe\n3,\"\"\n4,\"x\ny\"";
    let records = good("a.csv", closed);
    assert_eq!(records.len(), 4);
    assert_eq!(records[3].2["name"], "x\ny");
    says(fault("a.csv", ""), 0, &["first line", "empty"]);
    assert_eq!(good("a.csv", "id,name\n"), []);
    // Without its column there is no key, whether there are rows or not.
    says(
        fault("a.csv", "code,name\n"),
        0,
        &["`id`", "--key: code, name"],
    );
    says(fault("a.csv", "id;name\n1;a\n"), 0, &["`id`", "id;name"]);
    says(fault("a.csv", "id,id\n1,2\n"), 0, &["two columns", "`id`"]);
}

#[test]
fn what_is_no_file_of_records_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder.csv");
    std::fs::create_dir(&path).unwrap();
    let refused = |path: &std::path::Path| open(path, None).err().expect("an error");
    let stop = refused(&path).to_string();
    assert!(
        stop.contains("folder.csv") && stop.contains("file in it"),
        "{stop}"
    );
    let Stop::Failed(error) = refused(&folder.path().join("absent.csv")) else {
        panic!("a failure");
    };
    assert_eq!(error.kind(), ErrorKind::NotFound);
    for name in ["a.txt", "a", ".csv"] {
        let Stop::Usage(error) = refused(&folder.path().join(name)) else {
            panic!("bad usage");
        };
        let said = error.to_string();
        assert!(said.contains(".jsonl") && said.contains(name), "{said}");
    }
}
