//! Stores and files: bad ones, shared ones, and what goes in and out.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::device::{Device, NOWHERE, Server, ended};

#[tokio::test]
async fn stores_that_cannot_be_are_named() {
    let device = Device::new(NOWHERE);
    device.file("garbage", [7; 5000]);
    std::fs::create_dir(device.path("folder")).unwrap();
    for (name, code, words) in [
        ("garbage", 1, ["damaged", "backup"]),
        ("folder", 2, ["directory", "file in it"]),
        ("no/such/place.db", 1, ["does not exist", "mkdir -p"]),
    ] {
        let store = format!("sqlite://{}", device.path(name).display());
        let put = ["--store", &store, "--offline", "put", "m", "k", "1"];
        device.run(&put).await.code(code).says(&[name]).says(&words);
    }
    assert_eq!(std::fs::read(device.path("garbage")).unwrap(), [7; 5000]);
    // An empty file is as good as none.
    device.file("device.db", "");
    device
        .run(&["--offline", "put", "m", "k", "1"])
        .await
        .code(0);
}

#[tokio::test]
async fn one_process_has_a_store_until_it_ends_however_it_ends() {
    let device = Device::new(NOWHERE);
    device
        .run(&["--offline", "put", "m", "k", "1"])
        .await
        .code(0);
    let mut first = device.start(&["--offline", "watch", "m"]);
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "k\t1");
    let second = device.run(&["--offline", "get", "m", "k"]).await.code(1);
    second.says(&[
        "device.db",
        "another process",
        &first.id().unwrap().to_string(),
    ]);
    first.kill().await.unwrap();
    device
        .run(&["--offline", "get", "m", "k"])
        .await
        .code(0)
        .prints("1\n");
}

#[tokio::test]
async fn an_import_keeps_what_comes_before_a_fault_and_says_how_much() {
    let device = Device::new(NOWHERE);
    let mut lines: String = (0..1500).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let good = lines.clone();
    lines += "{\"id\":1500\n{\"id\":1501}\n";
    let file = device.file("in.jsonl", &lines);
    let import = device
        .run(&["--offline", "import", "m", &file])
        .await
        .code(1);
    import.prints("").says(&[
        "line: 1501",
        "no JSON",
        "in.jsonl",
        "kept on this device: 1500",
    ]);
    assert_eq!(device.status().await["maps"][0]["entries"], 1500);
    // A value that no server takes is found in its line too.
    let long = format!(
        "{{\"id\":0}}\n{{\"id\":1,\"v\":\"{}\"}}\n",
        "x".repeat(300_000)
    );
    let file = device.file("long.jsonl", long);
    let import = device
        .run(&["--offline", "import", "m", &file])
        .await
        .code(1);
    import.says(&["line: 2", "at most 262144", "kept on this device: 1;"]);
    let file = device.file("again.jsonl", &good);
    let import = device
        .run(&["--offline", "import", "n", &file])
        .await
        .code(0);
    import.prints("1500 kept on this device\n");
    let status = device.status().await;
    assert_eq!(status["maps"][0]["pending"], 1501);
    assert_eq!(status["maps"][1]["entries"], 1500);
    // A file that is wrong from its head on leaves no trace.
    let file = device.file("in.csv", "code\nx\n");
    device
        .run(&["--offline", "import", "o", &file])
        .await
        .code(1)
        .says(&["`id`", "code"]);
    assert_eq!(device.status().await["maps"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_import_of_large_values_takes_many_batches() {
    let device = Device::new(NOWHERE);
    let pad = "x".repeat(200_000);
    let lines: String = (0..100)
        .map(|id| format!("{{\"id\":{id},\"pad\":\"{pad}\"}}\n"))
        .collect();
    let file = device.file("in.jsonl", lines + "{bad\n");
    let import = device.run(&["--offline", "import", "m", &file]).await;
    import
        .code(1)
        .says(&["line: 101", "kept on this device: 100;"]);
    assert_eq!(device.status().await["pending"], 100);
}

#[tokio::test]
async fn an_export_is_sorted_by_bytes_and_comes_back_as_it_was() {
    let device = Device::new(NOWHERE);
    for key in ["b", "ä", "a/1", "B", "a", "z", "10", "9"] {
        device
            .run(&["--offline", "put", "m", key, "null"])
            .await
            .code(0);
    }
    let out = device.path("out.jsonl");
    let out = out.to_str().unwrap();
    device
        .run(&["--offline", "export", "m", "--out", out])
        .await
        .code(0)
        .prints("");
    let text = std::fs::read_to_string(out).unwrap();
    let keys: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].to_string())
        .collect();
    let expected = ["10", "9", "B", "a", "a/1", "b", "z", "ä"];
    assert_eq!(keys, expected.map(|key| format!("\"{key}\"")));
    let other = Device::new(NOWHERE);
    other.run(&["--offline", "import", "m", out]).await.code(0);
    other
        .run(&["--offline", "export", "m"])
        .await
        .code(0)
        .prints(&text);
    let nowhere = device.path("no/such/out");
    let nowhere = nowhere.to_str().unwrap();
    let export = device
        .run(&["--offline", "export", "m", "--out", nowhere])
        .await;
    export.code(1).says(&[nowhere, "cannot write"]);
}

#[tokio::test]
async fn a_value_of_50_000_items_goes_through_from_standard_input_to_an_export() {
    let server = Server::start(&[]).await;
    let device = Device::new(&server.url());
    let value = json!(vec![7; 50_000]).to_string();
    let mut command = device.command(&["put", "m", "many", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut put = command.spawn().unwrap();
    let mut stdin = put.stdin.take().unwrap();
    stdin.write_all(value.as_bytes()).await.unwrap();
    drop(stdin);
    ended(put).await.code(0);
    let other = Device::new(&server.url());
    let exported = format!("{{\"key\":\"many\",\"value\":{value}}}\n");
    let export = other.run(&["export", "m"]).await.code(0);
    assert!(export.stdout == exported, "{} bytes", export.stdout.len());
}
