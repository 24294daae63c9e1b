use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use grid_core::ErrorKind;
use grid_testkit::servers::mongodb_url;
use mongodb::Client;
use mongodb::bson::serialize_to_vec;
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::DatabaseOptions;

use super::*;

const COLLECTION: &str = "records";

/// A database of one's own, and the commands that were sent to it.
struct Watched {
    options: MongoOptions,
    database: Database,
    commands: Arc<Mutex<Vec<Document>>>,
}

impl Watched {
    async fn new(name: &str) -> Self {
        let server = mongodb_url();
        let (scheme, rest) = server.split_once("://").unwrap();
        let (host, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let host = host.split('/').next().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a name that no earlier run left")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let url = format!(
            "{scheme}://{host}/{name}_{:x}?{parameters}",
            now.as_micros()
        );
        let options = MongoOptions::from_url(&url).await.unwrap();
        let commands = Arc::<Mutex<Vec<Document>>>::default();
        let sent = Arc::clone(&commands);
        let mut client = options.client().clone();
        client.command_event_handler = Some(EventHandler::callback(move |event| {
            if let CommandEvent::Started(started) = event {
                sent.lock().unwrap().push(started.command);
            }
        }));
        // As the backend asks, unless a command says otherwise.
        let settings = DatabaseOptions::builder()
            .read_concern(ReadConcern::majority())
            .build();
        let database = Client::with_options(client)
            .unwrap()
            .database_with_options(options.database(), settings);
        Self {
            options,
            database,
            commands,
        }
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            database: &self.database,
            collection: COLLECTION,
            place: &self.options,
            operation: "store records",
        }
    }

    /// The commands of this name that were sent so far.
    fn sent(&self, name: &str) -> Vec<Document> {
        let commands = self.commands.lock().unwrap();
        let named = |command: &&Document| command.keys().next().is_some_and(|first| first == name);
        commands.iter().filter(named).cloned().collect()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(future)
}

fn document(id: &str, sequence: i64, bytes: usize) -> Guarded {
    Guarded {
        id: id.to_owned(),
        history: "a".to_owned(),
        sequence,
        fields: doc! { "text": "x".repeat(bytes) },
        bytes: 100 + bytes,
    }
}

#[test]
fn no_command_is_larger_than_mongodb_takes() {
    run(async {
        let watched = Watched::new("sizes").await;
        let small = (0..2_500).map(|n| document(&format!("small-{n}"), 1, 1));
        let large = (0..20).map(|n| document(&format!("large-{n}"), 1, 1024 * 1024));
        let documents: Vec<Guarded> = small.chain(large).collect();
        watched.writer().write(&documents).await.unwrap();
        let mut written = 0;
        for command in watched.sent("update") {
            let count = command.get_array("updates").unwrap().len();
            assert!(count <= 1_000, "{count} updates in one command");
            let bytes = serialize_to_vec(&command).unwrap().len();
            assert!(bytes <= 16 * 1024 * 1024, "{bytes} bytes in one command");
            written += count;
        }
        assert_eq!(written, documents.len());
        let collection = watched.database.collection::<Document>(COLLECTION);
        let stand = collection.count_documents(doc! {}).await.unwrap();
        assert_eq!(stand, 2_520);
        watched.database.drop().await.unwrap();
    });
}

#[test]
fn the_server_gives_up_every_write_whose_client_may_be_gone() {
    run(async {
        let watched = Watched::new("bounded").await;
        let writer = watched.writer();
        // An insert, a version that is too old, and one of another history.
        writer.write(&[document("k", 5, 1)]).await.unwrap();
        let mut other = document("k", 4, 1);
        writer.write(&[other.clone()]).await.unwrap();
        other.history = "b".to_owned();
        writer.write(&[other]).await.unwrap();
        let updates = watched.sent("update");
        assert!(updates.len() > 3, "{updates:?}");
        for id in ["l", "m", "n"] {
            writer.write(&[document(id, 6, 1)]).await.unwrap();
        }
        writer
            .remove(doc! { "sequence": { "$gte": 6 }, "_id": { "$ne": "m" } })
            .await
            .unwrap();
        let collection = watched.database.collection::<Document>(COLLECTION);
        assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 2);
        let removals = watched.sent("delete");
        assert_eq!(removals.len(), 1);
        for command in updates.iter().chain(&removals) {
            let bound = command.get_i64("maxTimeMS").unwrap();
            assert!(bound > 0 && bound.cast_unsigned() <= LATE_STORE_MS / 3);
        }
        watched.database.drop().await.unwrap();
    });
}

#[test]
fn a_document_that_no_majority_has_yet_is_seen_where_it_stands() {
    run(async {
        let watched = Watched::new("present").await;
        let writer = watched.writer();
        writer.write(&[document("k", 5, 1)]).await.unwrap();
        writer.write(&[document("k", 4, 1)]).await.unwrap();
        let [find] = &watched.sent("find")[..] else {
            panic!("it is looked for once");
        };
        let concern = find.get_document("readConcern").unwrap();
        assert_eq!(concern.get_str("level").unwrap(), "local");
        watched.database.drop().await.unwrap();
    });
}

#[test]
fn an_answer_tells_what_passes_before_what_is_refused() {
    run(async {
        let watched = Watched::new("answers").await;
        let read = |answer: Document| watched.writer().read(&answer);
        let error =
            |index: i32, code: i32| doc! { "index": index, "code": code, "errmsg": "secret" };
        let kept = |answer: Document| {
            let error = read(answer).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
            (error.kind(), error.is_retryable())
        };

        let duplicates = doc! { "ok": 1, "writeErrors": [error(3, 11_000), error(7, 11_000)] };
        assert_eq!(read(duplicates).unwrap(), BTreeSet::from([3, 7]));
        assert_eq!(read(doc! { "ok": 1 }).unwrap(), BTreeSet::new());

        // It is there, but a majority may not have it: not stored, and no record's fault.
        for code in [64, 91, 100, 121] {
            let concern = doc! { "ok": 1, "writeConcernError": error(0, code) };
            assert!(kept(concern).1, "{code}");
        }
        let both = doc! {
            "ok": 1, "writeErrors": [error(0, 121)], "writeConcernError": error(0, 64),
        };
        assert_eq!(kept(both), (ErrorKind::Timeout, true));

        // A validator, an index over two lists, of places, of texts, and one of tomorrow.
        for code in [121, 171, 16_755, 17_262, 987_654] {
            let refused = doc! { "ok": 1, "writeErrors": [error(0, code)] };
            assert_eq!(kept(refused), (ErrorKind::Invalid, false), "{code}");
        }
        for (server, expected) in [
            (13, (ErrorKind::Forbidden, false)),
            (112, (ErrorKind::Conflict, true)),
        ] {
            for codes in [[121, server], [server, 121]] {
                let mixed =
                    doc! { "ok": 1, "writeErrors": codes.map(|code| error(0, code)).to_vec() };
                assert_eq!(kept(mixed), expected, "{codes:?}");
            }
        }
    });
}
