//! What refuses records, and what refuses us: each error says which of both it is.

use grid_core::traits::{Persistence, StateRecord};
use grid_core::{Error, ErrorKind, Result, Sequence};
use grid_testkit::servers::postgres_url;

use crate::place::{Place, open};
use grid_testkit::rows::{PARTITION, pairs, record, stands, state, store};

fn assert_refused(result: Result<()>, kind: ErrorKind, part: &str) -> Error {
    let error = result.expect_err("it must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(!error.is_retryable(), "{error}");
    assert!(
        error.to_string().contains(part),
        "{part:?} is not in {error}"
    );
    error
}

/// No value of a row, neither in the error nor in what caused it.
fn assert_no_secret(error: &Error) {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("secret"), "a value is shown: {shown}");
        source = error.source();
    }
}

#[test]
fn a_row_that_a_constraint_or_a_trigger_refuses_takes_its_batch_down_and_is_named() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        place.run(
            "ALTER TABLE records ADD CONSTRAINT short_texts CHECK (length(value ->> 'text') < 3);
             CREATE FUNCTION no_x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.key = 'x' THEN
                     RAISE EXCEPTION 'no %', NEW.value USING CONSTRAINT = 'no_x_here';
                 END IF;
                 RETURN NEW; END $$;
             CREATE TRIGGER no_x BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION no_x();",
        )
        .await;
        let long = record("b", 2, Some(b"\xa1\x64text\x66secret"));
        let batch = [record("a", 1, Some(b"\x01")), long, record("c", 3, None)];
        let error = assert_refused(
            store(&backend, &batch).await,
            ErrorKind::Invalid,
            "short_texts",
        );
        assert_no_secret(&error);
        let x = record("x", 4, Some(b"\x66secret"));
        let error = assert_refused(store(&backend, &[x]).await, ErrorKind::Invalid, "no_x_here");
        assert_no_secret(&error);
        assert_eq!(stands(&backend).await?, []);
        assert_eq!(backend.load_state(PARTITION).await?, None);
        store(&backend, &[batch[0].clone(), batch[2].clone()]).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("a", 1), ("c", 3)]));
        backend.close().await
    })
}

#[test]
fn whatever_a_trigger_raises_is_about_its_row() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        place
            .run(
                "CREATE TABLE seen (value text UNIQUE); INSERT INTO seen VALUES ('\"secret\"');
             CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql
                 SET search_path FROM CURRENT AS $$ BEGIN
                 IF NEW.key = 'unique' THEN
                     INSERT INTO seen VALUES (NEW.value::text);
                 ELSIF NEW.key = 'cast' THEN
                     PERFORM NEW.value::text::int;
                 ELSIF NEW.key <> 'good' THEN
                     RAISE EXCEPTION 'not %', NEW.value
                         USING ERRCODE = NEW.key, DETAIL = NEW.value, HINT = NEW.value;
                 END IF;
                 RETURN NEW; END $$;
             CREATE TRIGGER raises BEFORE INSERT ON records
                 FOR EACH ROW EXECUTE FUNCTION raises();",
            )
            .await;
        let good = record("good", 1, None);
        for refused in [
            "P0001", "ZZ001", "38000", "55000", "XX000", "42501", "unique", "cast",
        ] {
            let batch = [good.clone(), record(refused, 2, Some(b"\x66secret"))];
            let stored = store(&backend, &batch).await;
            assert_no_secret(&assert_refused(stored, ErrorKind::Invalid, "sqlstate"));
        }
        store(&backend, &[good]).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("good", 1)]));
        backend.close().await
    })
}

#[test]
fn tables_that_are_missing_or_changed_are_nobodys_poison() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        for (harm, mend) in [
            (
                "ALTER TABLE states RENAME TO hidden",
                "ALTER TABLE hidden RENAME TO states",
            ),
            (
                "ALTER TABLE records RENAME COLUMN number TO hidden",
                "ALTER TABLE records RENAME COLUMN hidden TO number",
            ),
        ] {
            place.run(harm).await;
            let stored = store(&backend, &[record("k", 1, None)]).await;
            assert_refused(stored, ErrorKind::NotFound, "restore them");
            place.run(mend).await;
            store(&backend, &[record("k", 1, None)]).await?;
        }
        backend.close().await
    })
}

#[test]
fn a_sequence_that_postgres_cannot_compare_is_refused() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        let highest = u64::MAX >> 1;
        store(&backend, &[record("k", highest, None)]).await?;
        let over = StateRecord {
            sequence: Sequence(highest + 1),
            ..state(0)
        };
        let stored = backend.store(PARTITION, &[], &over).await;
        assert_refused(stored, ErrorKind::Invalid, "2^63");
        let record = record("k", highest + 1, None);
        let stored = backend.store(PARTITION, &[record], &state(highest)).await;
        assert_refused(stored, ErrorKind::Invalid, "2^63");
        assert_eq!(stands(&backend).await?, pairs(&[("k", highest)]));
        backend.close().await
    })
}

/// The server of the tests with another user, password or database.
fn elsewhere(user: &str, database: &str) -> String {
    let url = postgres_url();
    let (_, rest) = url.split_once("://").unwrap();
    let (base, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, name) = base.split_once('/').unwrap();
    let host = authority.rsplit('@').next().unwrap();
    let name = if database.is_empty() { name } else { database };
    format!("postgres://{user}{host}/{name}?{parameters}")
}

#[test]
fn who_is_not_known_or_asks_for_what_is_not_there_is_told_at_once_and_without_the_password() {
    let place = Place::new(0);
    place.block_on(async {
        let url = elsewhere("nobody_of_this_name:s3cret@", "");
        let error = open(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        assert!(!error.is_retryable());
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        let user = postgres_url();
        let user = user.split_once("://").unwrap().1.split_once('@').unwrap().0;
        let error = open(&elsewhere(&format!("{user}@"), "no_such_database"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.message().contains("create it"), "{error}");
    });
}

/// A user of a place that is no superuser, for what holds for those alone.
struct Role<'a> {
    place: &'a Place,
    name: String,
}

impl<'a> Role<'a> {
    /// A user with no rights.
    async fn new(place: &'a Place) -> Self {
        let name = format!("role_{}", place.schema());
        let make = format!("CREATE ROLE {name} LOGIN PASSWORD 'pw'");
        place.run(&make).await;
        Self { place, name }
    }

    /// A user with a schema, whose name is the place's.
    async fn with_schema(place: &'a Place) -> Self {
        let role = Self::new(place).await;
        role.own_schema().await;
        role
    }

    async fn own_schema(&self) {
        let (schema, name) = (self.place.schema(), &self.name);
        let make = format!("CREATE SCHEMA {schema} AUTHORIZATION {name}");
        self.place.run(&make).await;
    }

    fn url(&self) -> String {
        let url = elsewhere(&format!("{}:pw@", self.name), "");
        format!("{url}&schema={}", self.place.schema())
    }

    async fn remove(self) {
        let (schema, name) = (self.place.schema(), self.name);
        let remove = format!("DROP SCHEMA {schema} CASCADE; DROP ROLE {name}");
        self.place.run(&remove).await;
    }
}

#[test]
fn a_policy_on_rows_is_about_a_row_and_a_missing_right_is_not() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let role = Role::with_schema(&place).await;
        let backend = open(&role.url()).await?;
        place
            .run(
                "ALTER TABLE records ENABLE ROW LEVEL SECURITY;
                 ALTER TABLE records FORCE ROW LEVEL SECURITY;
                 CREATE POLICY no_x ON records USING (true) WITH CHECK (key <> 'x')",
            )
            .await;
        let batch = [record("a", 1, None), record("x", 2, None)];
        let stored = store(&backend, &batch).await;
        assert_refused(stored, ErrorKind::Invalid, "a policy");
        store(&backend, &batch[..1]).await?;
        let revoke = format!("REVOKE INSERT ON records FROM {}", role.name);
        place.run(&revoke).await;
        let stored = store(&backend, &[record("b", 3, None)]).await;
        assert_refused(stored, ErrorKind::Forbidden, "grant");
        assert_eq!(stands(&backend).await?, pairs(&[("a", 1)]));
        backend.close().await?;
        role.remove().await;
        Ok(())
    })
}

#[test]
fn a_connection_that_only_reads_is_let_go_so_that_a_failover_is_followed() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let role = Role::with_schema(&place).await;
        open(&role.url()).await?.close().await?;
        let read_only = format!("ALTER ROLE {} SET default_transaction_read_only", role.name);
        place.run(&format!("{read_only} = on")).await;
        let backend = open(&role.url()).await?;
        let error = store(&backend, &[record("k", 1, None)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable(), "{error}");
        // From here on new connections may write, and the old one may not, as after a failover.
        place.run(&format!("{read_only} = off")).await;
        store(&backend, &[record("k", 1, None)]).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("k", 1)]));
        backend.close().await?;
        role.remove().await;
        Ok(())
    })
}

#[test]
fn encryption_that_is_not_built_in_is_refused_and_nobodys_poison() {
    let place = Place::new(0);
    place.block_on(async {
        let error = open(&place.url("&sslmode=require")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(!error.is_retryable(), "{error}");
        assert!(error.message().contains("sslmode=disable"), "{error}");
    });
}

#[test]
fn a_user_without_rights_is_told_what_to_grant() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let role = Role::new(&place).await;
        let url = role.url();
        let error = open(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
        assert!(error.message().contains("CREATE"), "{error}");
        // The schema alone is enough: the right to make others is not needed.
        role.own_schema().await;
        let backend = open(&url).await?;
        store(&backend, &[record("k", 1, None)]).await?;
        backend.close().await?;
        role.remove().await;
        Ok(())
    })
}
