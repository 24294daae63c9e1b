//! What happens in the demo, step by step, told in plain words.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grid_testkit::process::ServerProcess;

use crate::device::{Device, Item};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How many writes are on their way when the server is killed.
const BULK: usize = 2000;
/// How long one step may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The stage: a server, two devices, and a folder for all their files.
#[derive(Debug)]
pub(crate) struct Story {
    program: PathBuf,
    folder: tempfile::TempDir,
    address: SocketAddr,
    server: Option<ServerProcess>,
    ana: Device,
    ben: Device,
    pause: Duration,
}

impl Story {
    /// Sets the stage and tells the whole story.
    pub(crate) async fn tell(program: PathBuf, fast: bool) -> Outcome {
        let folder = tempfile::tempdir()?;
        let server = start(&program, folder.path(), "127.0.0.1:0").await?;
        let address = server.address();
        let ana = Device::open("Ana", folder.path(), address).await?;
        let ben = Device::open("Ben", folder.path(), address).await?;
        let pause = Duration::from_millis(if fast { 0 } else { 1200 });
        let server = Some(server);
        let mut story = Self {
            program,
            folder,
            address,
            server,
            ana,
            ben,
            pause,
        };
        story.together().await?;
        story.apart().await?;
        story.crash().await?;
        story.heal().await?;
        story.ending().await
    }

    async fn together(&self) -> Outcome {
        self.say(&format!(
            "A server runs on ws://{} with nothing installed: its journal and database are files.\n\
             Ana and Ben each have a device with a local store, and share a shopping list.",
            self.address
        ))
        .await;
        for (key, amount) in [("apples", 6), ("bread", 1), ("milk", 2)] {
            self.ana.put(key, amount).await?;
        }
        level(&self.ana).await?;
        let ben = &self.ben;
        until("Ben sees Ana's items", || ben.list.len() == 3).await?;
        self.say("Ana wrote three items. Ben has them, too:").await;
        self.show()
    }

    async fn apart(&self) -> Outcome {
        self.ben.cut();
        self.say(
            "Ben's network is cut. Both go on: reads and writes never wait for the network.\n\
             Ben changes apples and milk, removes the bread and adds tea; then Ana, later by the\n\
             clock, changes milk as well and adds coffee.",
        )
        .await;
        self.ben.put("apples", 12).await?;
        self.ben.put("milk", 9).await?;
        self.ben.remove("bread").await?;
        self.ben.put("tea", 1).await?;
        // The clocks of the two devices must have moved on for "later" to mean something.
        sleep(Duration::from_millis(20)).await;
        self.ana.put("milk", 4).await?;
        self.ana.put("coffee", 1).await?;
        level(&self.ana).await?;
        self.say(&format!(
            "The lists differ now. {} writes wait on Ben's device, durable, for as long as it takes:",
            self.ben.pending()
        ))
        .await;
        self.show()
    }

    async fn crash(&mut self) -> Outcome {
        let items = (0..BULK).map(|number| {
            (
                format!("bulk/{number:04}"),
                Item {
                    amount: 1,
                    by: "Ana".into(),
                },
            )
        });
        let writes = self.ana.list.put_all(items).await?;
        let unacked = self.ana.pending();
        if let Some(server) = self.server.take() {
            server.kill().await?;
        }
        self.say(&format!(
            "Ana writes {BULK} more items at once, and the server is killed with kill -9 in the\n\
             middle: {unacked} writes had no answer yet. It is started again on the same files …"
        ))
        .await;
        let listen = self.address.to_string();
        self.server = Some(start(&self.program, self.folder.path(), &listen).await?);
        self.ana.grid.connect_now();
        let fate = writes.acked().await?;
        self.say(&format!(
            "… and Ana's device sent again what was not answered: {} accepted, {} refused.",
            fate.acked,
            fate.rejected.len()
        ))
        .await;
        Ok(())
    }

    async fn heal(&self) -> Outcome {
        self.ben.heal();
        level(&self.ben).await?;
        level(&self.ana).await?;
        let (ana, ben) = (&self.ana, &self.ben);
        until("both devices agree", || {
            ana.list.entries() == ben.list.entries()
        })
        .await?;
        self.say(
            "Ben's network is back. His device pushed what waited and fetched what it had missed,\n\
             and both show the same. Milk is Ana's: her edit was later, though Ben's arrived later.",
        )
        .await;
        self.show()
    }

    async fn ending(mut self) -> Outcome {
        let expected = ["apples  12 Ben", "coffee 1 Ana", "milk 4 Ana", "tea 1 Ben"];
        let expected: Vec<String> = expected.iter().map(|line| squeeze(line)).collect();
        for device in [&self.ana, &self.ben] {
            let shown: Vec<String> = device
                .shown()?
                .iter()
                .map(|line| squeeze(&line.replace(" by ", " ")))
                .collect();
            check(
                shown == expected,
                &format!("{} shows {shown:?}", device.name),
            )?;
            let all = device.list.len();
            check(
                all == BULK + expected.len(),
                &format!("{} has {all} entries", device.name),
            )?;
            check(device.pending() == 0, "something is pending")?;
        }
        println!(
            "\n  Checked: both devices hold the same {} entries, nothing is pending, nothing is lost.",
            BULK + expected.len()
        );
        self.ana.grid.close().await?;
        self.ben.grid.close().await?;
        if let Some(server) = self.server.take() {
            let status = server.terminate().await?;
            check(status.success(), &format!("the server ended with {status}"))?;
        }
        println!(
            "\nWhat to try next:\n\
             \x20 cargo run -p grid-server                        a server on ws://127.0.0.1:7171\n\
             \x20 cargo run -p grid-cli -- put todos t1 '\"milk\"'  write, with or without it\n\
             \x20 cargo run -p grid-cli -- --store sqlite://second.db watch todos\n\
             \x20                                                 a second device, in another terminal\n\
             \x20 cargo xtask book                                read the guide\n"
        );
        Ok(())
    }

    /// Says something, and leaves time to read it.
    async fn say(&self, text: &str) {
        println!("\n{text}");
        sleep(self.pause).await;
    }

    /// Prints both lists side by side.
    fn show(&self) -> Outcome {
        let (left, right) = (self.ana.shown()?, self.ben.shown()?);
        println!("\n    {:<28}Ben's device", "Ana's device");
        for row in 0..left.len().max(right.len()) {
            let cell = |lines: &[String]| lines.get(row).cloned().unwrap_or_default();
            println!("    {:<28}{}", cell(&left), cell(&right));
        }
        Ok(())
    }
}

async fn start(program: &Path, folder: &Path, listen: &str) -> std::io::Result<ServerProcess> {
    ServerProcess::start(program, &folder.join("server"), listen, &["--log", "warn"]).await
}

/// Waits until the device has nothing pending and is level with the server.
async fn level(device: &Device) -> Outcome {
    match timeout(PATIENCE, device.grid.flushed()).await {
        Some(result) => Ok(result?),
        None => Err(format!("{} is not level with the server in time", device.name).into()),
    }
}

/// Waits until something holds.
async fn until(what: &str, holds: impl Fn() -> bool) -> Outcome {
    let polls = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, polls)
        .await
        .ok_or_else(|| format!("not in time: {what}").into())
}

fn check(holds: bool, otherwise: &str) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned().into())
    }
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[expect(clippy::disallowed_methods, reason = "the demo happens in real time")]
async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[expect(clippy::disallowed_methods, reason = "the demo happens in real time")]
async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, future).await.ok()
}
