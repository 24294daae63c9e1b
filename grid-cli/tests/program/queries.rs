//! What `ls` answers to a query, and how a text that is none is refused.

use serde_json::json;

use crate::device::{Device, NOWHERE, Server};

const TODOS: &str = r#"{"id":"a","done":false,"priority":1,"due":"2026-03-01"}
{"id":"b","done":true,"priority":3,"due":"2026-01-01"}
{"id":"c","done":false,"priority":2,"due":"2026-02-01"}
{"id":"d","done":false,"priority":3}
{"id":"e","done":false,"priority":2,"due":"2026-04-01"}
"#;

fn keys(printed: &str) -> Vec<&str> {
    printed
        .lines()
        .filter_map(|line| Some(line.split_once('\t')?.0))
        .collect()
}

#[tokio::test]
async fn ls_filters_sorts_and_limits() {
    let server = Server::start(&[]).await;
    let device = Device::new(&server.url());
    let file = device.file("todos.jsonl", TODOS);
    device.run(&["import", "todos", &file]).await.code(0);
    let ls = async |arguments: &[&str]| {
        let arguments = [&["ls", "todos"], arguments].concat();
        device.run(&arguments).await.code(0)
    };
    let urgent = "done == false && priority >= 2";
    let found = ls(&["--where", urgent, "--order", "-due", "--limit", "20"]).await;
    assert_eq!(keys(&found.stdout), ["e", "c", "d"], "{found:?}");
    assert!(!found.stderr.contains("missing"), "{found:?}");
    let found = ls(&["--where", urgent, "--order=-due", "--limit=1"]).await;
    assert_eq!(keys(&found.stdout), ["e"]);
    let found = ls(&["--order", "-priority, due"]).await;
    assert_eq!(keys(&found.stdout), ["d", "b", "c", "e", "a"]);
    let found = ls(&["--limit", "2"]).await;
    assert_eq!(keys(&found.stdout), ["a", "b"]);
    let found = ls(&["--where", "key() starts_with \"b\"", "--json"]).await;
    let todo = json!({ "id": "b", "done": true, "priority": 3, "due": "2026-01-01" });
    assert_eq!(found.json(), json!({ "key": "b", "value": todo }));
    ls(&["--where", "none"]).await.prints("");
}

#[tokio::test]
async fn what_waits_here_is_asked_too_and_what_may_be_missing_is_told() {
    let device = Device::new(NOWHERE);
    for (key, value) in [("a", "{\"n\":1}"), ("b", "{\"n\":2}")] {
        let put = device.run(&["--offline", "put", "m", key, value]).await;
        put.code(0);
    }
    let asked = ["--offline", "ls", "m", "--where", "n > 1"];
    let found = device.run(&asked).await.code(0);
    found
        .says(&["`m`", "entries may be missing"])
        .prints("b\t{\"n\":2}\n");
}

#[tokio::test]
async fn a_text_that_is_no_query_is_2_with_a_caret_at_the_place() {
    let device = Device::new(NOWHERE);
    let refused = async |option: &str, text: &str| {
        let arguments = ["--offline", "ls", "m", option, text];
        device.run(&arguments).await.code(2).prints("")
    };
    let said = refused("--where", "done == false && priority > = 2").await;
    assert_eq!(
        said.stderr.lines().skip(1).collect::<Vec<_>>(),
        [
            "  done == false && priority > = 2",
            "                              ^"
        ],
        "{said:?}"
    );
    said.says(&["error: --where: column 29: expected a literal"]);
    let said = refused("--where", "`größe` = \"ä").await;
    said.says(&["--where: column 13: ", "\n  `größe` = \"ä\n              ^"]);
    let said = refused("--order", "-due,").await;
    said.says(&["--order: column 6: ", "\n  -due,\n       ^"]);
    let said = refused("--limit", "0").await;
    said.says(&["--limit"]);
    let names = vec!["a"; 2_000].join(".");
    let long = format!("{names} exists");
    let said = device
        .run(&["--offline", "ls", "m", "--where", &long])
        .await;
    said.code(2).prints("");
    // Nothing was opened.
    assert!(!device.path("device.db").exists());
}
