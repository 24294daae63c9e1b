//! What ends with 0, 3 and 4, and what is printed then.

use serde_json::{Value, json};

use crate::device::{Device, NOWHERE, Server, signal};

#[tokio::test]
async fn done_is_0_and_an_absent_entry_is_4() {
    let server = Server::start(&[]).await;
    let device = Device::new(&server.url());
    device
        .run(&["put", "m", "k", "{\"a\":[1]}"])
        .await
        .code(0)
        .prints("");
    let got = device.run(&["get", "m", "k"]).await.code(0);
    got.prints("{\"a\":[1]}\n");
    let got = device.run(&["--json", "get", "m", "k"]).await.code(0);
    assert_eq!(got.json(), json!({"key": "k", "value": {"a": [1]}}));
    let absent = device.run(&["get", "m", "nope"]).await.code(4);
    absent.prints("").says(&["`nope`", "`m`"]);
    device.run(&["--offline", "get", "m", "nope"]).await.code(4);
    let put = device.run(&["--json", "put", "m", "l", "2"]).await.code(0);
    assert_eq!(put.json()["outcome"], "acked");
    device
        .run(&["ls", "m"])
        .await
        .code(0)
        .prints("k\t{\"a\":[1]}\nl\t2\n");
    device.run(&["rm", "m", "k"]).await.code(0).prints("");
    device.run(&["get", "m", "k"]).await.code(4);
    // A map is there as soon as it is named.
    let synced = device.run(&["sync", "m", "never written"]).await.code(0);
    synced.prints(
        "m: 1 entries, level with the server\nnever written: 0 entries, level with the server\n",
    );
    device
        .run(&["ls", "never written"])
        .await
        .code(0)
        .prints("");
}

#[tokio::test]
async fn what_is_kept_and_not_acked_in_time_is_3_and_offline_it_is_0() {
    let device = Device::new(NOWHERE);
    let file = device.file("two.jsonl", "{\"id\":1}\n{\"id\":2}\n");
    let short = |arguments: &[&'static str]| [&["--timeout", "0.2"], arguments].concat();
    let put = device.run(&short(&["--json", "put", "m", "k", "1"])).await;
    let put = put.code(3).says(&[
        "kept on this device",
        "1 pending",
        NOWHERE,
        "start the server",
    ]);
    assert_eq!(put.json()["outcome"], "pending");
    device
        .run(&short(&["rm", "m", "other"]))
        .await
        .code(3)
        .says(&["2 pending"]);
    let import = [
        &["--timeout", "0.2", "--json", "import", "m"],
        &[&file[..]][..],
    ]
    .concat();
    let import = device
        .run(&import)
        .await
        .code(3)
        .says(&["2 kept", "4 pending"]);
    assert_eq!(import.json(), json!({"kept": 2, "pending": 4}));
    device
        .run(&short(&["sync", "m"]))
        .await
        .code(3)
        .says(&["4 pending", NOWHERE]);

    let put = device
        .run(&["--offline", "--json", "put", "m", "k", "2"])
        .await
        .code(0);
    assert_eq!(put.json()["outcome"], "kept");
    device.run(&["--offline", "rm", "m", "1"]).await.code(0);
    device
        .run(&["--offline", "import", "m", &file])
        .await
        .code(0)
        .prints("2 kept on this device\n");
    // What reads makes do with what the device has, and says so.
    let get = device.run(&["get", "m", "k"]).await.code(0);
    get.prints("2\n").says(&["not level", NOWHERE]);
    device
        .run(&["export", "m"])
        .await
        .code(0)
        .says(&["not level"]);
    device.run(&["get", "m", "gone"]).await.code(4);
    assert_eq!(device.status().await["pending"], 8);
}

#[tokio::test]
async fn status_tells_what_became_of_everything_in_any_process() {
    let server = Server::start(&["--max-value-bytes", "100"]).await;
    let device = Device::new(&server.url());
    let other = Device::new(&server.url());
    device.run(&["put", "one", "k", "1"]).await.code(0);
    device.run(&["put", "two", "k", "1"]).await.code(0);
    device
        .run(&["--offline", "put", "one", "old", "1"])
        .await
        .code(0);
    other.run(&["put", "one", "old", "2"]).await.code(0);
    let long = format!("\"{}\"", "x".repeat(200));
    device
        .run(&["--offline", "put", "two", "long", &long])
        .await
        .code(0);
    let synced = device.run(&["--json", "sync", "two"]).await.code(0);
    let synced = synced.says(&["rejected", "`long` in `two`", "202 bytes", "100"]);
    assert_eq!(synced.json()["rejected"], 1);
    device
        .run(&["--offline", "put", "two", "a", "1"])
        .await
        .code(0);
    device
        .run(&["--offline", "put", "never synced", "a", "1"])
        .await
        .code(0);

    let status = device.status().await;
    let figures = ["pending", "acked", "superseded", "rejected"].map(|name| status[name].clone());
    assert_eq!(figures, [2, 2, 1, 1].map(Value::from));
    assert_eq!(status["store"], device.store());
    let maps = status["maps"].as_array().unwrap();
    let maps: Vec<(&str, &Value, &Value, usize)> = maps
        .iter()
        .map(|map| {
            let cursor = map["cursor"].as_array().unwrap().len();
            (
                map["map"].as_str().unwrap(),
                &map["entries"],
                &map["pending"],
                cursor,
            )
        })
        .collect();
    let (no, one, two) = (json!(0), json!(1), json!(2));
    // Only `two` was caught up after the other device wrote; `one` was when it was written.
    let expected = [
        ("never synced", &one, &one, 0),
        ("one", &two, &no, 8),
        ("two", &two, &one, 8),
    ];
    assert_eq!(maps, expected);
    // As text, and without a server.
    server.process.kill().await.unwrap();
    let text = device.run(&["status"]).await.code(0).stdout;
    for line in [
        "pending     2",
        "acked       2",
        "superseded  1",
        "rejected    1",
        "never caught up",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_and_is_killed_leaves_everything_pending_and_then_has_it() {
    let server = Server::start(&[]).await;
    let device = Device::new(&server.url());
    let file = device.file("in.jsonl", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    signal(server.process.pid().unwrap(), "STOP").await;
    let import = device.run(&["--timeout", "1", "import", "m", &file]).await;
    import.code(3).says(&["2 pending", &server.url(), "not"]);
    let server = server.kill_and_restart().await;
    device.run(&["sync", "m"]).await.code(0);
    let other = Device::new(&server.url());
    let exported =
        "{\"key\":\"a\",\"value\":{\"id\":\"a\"}}\n{\"key\":\"b\",\"value\":{\"id\":\"b\"}}\n";
    other.run(&["export", "m"]).await.code(0).prints(exported);
    let status = device.status().await;
    assert_eq!(
        (&status["pending"], &status["acked"]),
        (&json!(0), &json!(2))
    );
}
