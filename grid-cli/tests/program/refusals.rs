//! What ends with 1 and 2: what cannot be, and what the server does not let be.

use std::sync::Arc;

use bytes::BytesMut;
use hybrid_grid::core::codec::CborCodec;
use hybrid_grid::core::protocol::{Message, Refused, write_frame};
use hybrid_grid::tokio_runtime::TokioRuntime;

use crate::device::{Device, NOWHERE, Server};

#[tokio::test]
async fn bad_usage_is_2_names_what_to_do_and_makes_no_store() {
    let device = Device::new(NOWHERE);
    let long_key = "k".repeat(513);
    let long_map = "m".repeat(129);
    let text = device.file("records.txt", "");
    let cases: &[(&[&str], &[&str])] = &[
        (&["put", "m", "k", "milk"], &["not JSON", "'\"milk\"'"]),
        (&["put", "m", "k", "{\"a\":1"], &["not JSON", "EOF"]),
        (&["put", "m", "k", "-"], &["not JSON"]),
        (&["put", "m", "", "1"], &["key", "empty"]),
        (&["put", "m", &long_key, "1"], &["513 bytes", "512"]),
        (&["get", "m", &long_key], &["512"]),
        (&["rm", "m", ""], &["key"]),
        (&["ls", ""], &["map name", "empty"]),
        (&["export", &long_map], &["129 bytes", "128"]),
        (&["sync", "m", ""], &["map name"]),
        (&["--offline", "sync", "m"], &["--offline"]),
        (&["import", "m", &text], &["records.txt", ".jsonl"]),
        (&["--namespace", "", "ls", "m"], &["namespace"]),
        (
            &["--server", "gopher://x", "ls", "m"],
            &["`gopher`", "memory, ws"],
        ),
        (&["--server", "nowhere", "ls", "m"], &["`nowhere`", "ws://"]),
        (
            &["--store", "notes.db", "ls", "m"],
            &["`notes.db`", "sqlite://"],
        ),
        (
            &["--store", "redis://x", "ls", "m"],
            &["`redis`", "memory, sqlite"],
        ),
        (
            &["--timeout", "-1", "ls", "m"],
            &["-1", "number of seconds"],
        ),
        (&["--jsno", "ls", "m"], &["--jsno", "--json"]),
        (&["frobnicate"], &["frobnicate", "--help"]),
        (&["put", "m"], &["<KEY>"]),
    ];
    for (arguments, words) in cases {
        device.run(arguments).await.code(2).prints("").says(words);
    }
    assert!(!device.path("device.db").exists(), "no store was opened");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_and_keeps_what_was_written() {
    let server = Server::start(&["--token", "s3cret"]).await;
    let device = Device::new(&server.url());
    let file = device.file("in.csv", "id,name\n1,a\n");
    let words = [&server.url(), "cannot connect", "token"];
    let cases: [(&[&str], usize); 7] = [
        (&["put", "m", "k", "1"], 1),
        (&["rm", "m", "x"], 2),
        (&["import", "m", &file], 3),
        (&["sync", "m"], 3),
        (&["get", "m", "k"], 3),
        (&["export", "m"], 3),
        (&["watch", "m"], 3),
    ];
    for (arguments, pending) in cases {
        let arguments = [&["--token", "wr0ng"], arguments].concat();
        let ended = device.run(&arguments).await.code(1).says(&words);
        assert!(!ended.stderr.contains("wr0ng"), "{}", ended.stderr);
        let kept = ended.stderr.contains(&format!("{pending} pending"));
        let writes = ["put", "rm", "import"].contains(&arguments[2]);
        assert_eq!(kept, writes, "{arguments:?}: {}", ended.stderr);
        assert_eq!(device.status().await["pending"], pending);
    }
    device
        .run(&["--token", "s3cret", "sync", "m"])
        .await
        .code(0);
    assert_eq!(device.status().await["acked"], 3);
}

#[tokio::test]
async fn a_server_of_another_time_says_what_to_do() {
    let url = outdated().await;
    let device = Device::new(&url);
    let put = device.run(&["put", "m", "k", "1"]).await.code(1);
    put.says(&["cannot connect", &url, "update the client", "1 pending"]);
    device
        .run(&["sync", "m"])
        .await
        .code(1)
        .says(&["update the client"]);
    assert_eq!(device.status().await["pending"], 1);
}

#[tokio::test]
async fn a_url_that_cannot_be_is_not_tried_for_ever() {
    for url in ["ws://host:port", "ws://127.0.0.1:65536", "ws://"] {
        let device = Device::new(url);
        let put = device.run(&["put", "m", "k", "1"]).await.code(1);
        put.says(&["cannot connect", url, "ws://HOST:PORT", "1 pending"]);
        device
            .run(&["get", "m", "k"])
            .await
            .code(1)
            .says(&["ws://HOST:PORT"]);
    }
}

#[tokio::test]
async fn what_the_server_rejects_is_1_with_its_reason_and_the_rest_goes_on() {
    let server = Server::start(&["--max-value-bytes", "100"]).await;
    let device = Device::new(&server.url());
    let put = device.run(&["--json", "put", "$m", "k", "1"]).await.code(1);
    let put = put.says(&["rejected", "`k` in `$m`", "belong to the system"]);
    let told = put.json();
    assert_eq!(
        (&told["outcome"], &told["reason"]),
        (&"rejected".into(), &"forbidden".into())
    );
    device
        .run(&["rm", "$m", "k"])
        .await
        .code(1)
        .prints("")
        .says(&["rejected"]);
    let file = device.file("two.jsonl", "{\"id\":1}\n{\"id\":2}\n");
    let import = device.run(&["import", "$m", &file]).await.code(1);
    let import = import.says(&["`1` in `$m`", "`2` in `$m`"]);
    import.prints("0 acked, 0 superseded, 2 rejected\n");

    // What a device cannot know while it is offline: the server's own bound.
    let long = format!("\"{}\"", "x".repeat(200));
    let records = format!("{{\"id\":1}}\n{{\"id\":2,\"v\":{long}}}\n{{\"id\":3}}\n");
    let file = device.file("in.jsonl", records);
    device
        .run(&["--offline", "import", "m", &file])
        .await
        .code(0);
    device
        .run(&["sync", "m"])
        .await
        .code(0)
        .says(&["rejected", "`2` in `m`", "at most 100"]);
    let list = device.run(&["ls", "m"]).await.code(0);
    list.prints("1\t{\"id\":1}\n3\t{\"id\":3}\n");
    // Whoever reads hears of what was written before.
    device
        .run(&["--offline", "put", "m", "k", &long])
        .await
        .code(0);
    device
        .run(&["get", "m", "k"])
        .await
        .code(4)
        .says(&["rejected", "at most 100"]);
}

/// The URL of a server that speaks no version that the program speaks.
async fn outdated() -> String {
    let runtime = Arc::new(TokioRuntime::current().unwrap());
    let url = "ws://127.0.0.1:0";
    let transport = hybrid_grid::registry().transport(url, runtime).unwrap();
    let listener = transport.listen(url).await.unwrap();
    let url = listener.url();
    tokio::spawn(async move {
        let refused = Message::Refused(Refused {
            code: 1,
            message: "this server speaks protocol 7 to 9; update the client".to_owned(),
            retryable: false,
        });
        let mut frame = BytesMut::new();
        write_frame(&CborCodec, &refused, &mut frame).unwrap();
        let frame = frame.freeze();
        while let Ok(connection) = listener.accept().await {
            let mut hello = Vec::new();
            // A client that is gone already needs no answer.
            if connection.receive(&mut hello, 1).await.is_ok() {
                connection.send(std::slice::from_ref(&frame)).await.ok();
            }
            connection.close().await;
        }
    });
    url
}
