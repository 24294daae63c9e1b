//! What refuses records, and what refuses us: each error says which of both it is.

use grid_core::traits::{Persistence, StateRecord};
use grid_core::{Error, ErrorKind, Result, Sequence};
use grid_testkit::servers::postgres_url;

use crate::place::{Place, open, run};
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

#[test]
fn a_row_that_a_constraint_or_a_trigger_refuses_takes_its_batch_down_and_is_named() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let backend = place.open().await?;
        let mut connection = place.connect().await;
        run(
            &mut connection,
            "ALTER TABLE records ADD CONSTRAINT short_texts CHECK (length(value ->> 'text') < 3);
             CREATE FUNCTION no_x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.key = 'x' THEN RAISE EXCEPTION 'no x here'; END IF;
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
        assert!(
            !error.to_string().contains("secret"),
            "no value is shown: {error}"
        );
        assert_refused(
            store(&backend, &[record("x", 4, None)]).await,
            ErrorKind::Invalid,
            "no x here",
        );
        assert_eq!(stands(&backend).await?, []);
        assert_eq!(backend.load_state(PARTITION).await?, None);
        store(&backend, &[batch[0].clone(), batch[2].clone()]).await?;
        assert_eq!(stands(&backend).await?, pairs(&[("a", 1), ("c", 3)]));
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

#[test]
fn a_user_without_rights_is_told_what_to_grant() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let mut connection = place.connect().await;
        let role = format!("role_{}", place.schema());
        run(
            &mut connection,
            &format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'"),
        )
        .await;
        let url = elsewhere(&format!("{role}:pw@"), "");
        let url = format!("{url}&schema={}", place.schema());
        let error = open(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
        assert!(error.message().contains("CREATE"), "{error}");
        // The schema alone is enough: the right to make others is not needed.
        run(
            &mut connection,
            &format!(
                "CREATE SCHEMA {schema} AUTHORIZATION {role}",
                schema = place.schema()
            ),
        )
        .await;
        let backend = open(&url).await?;
        store(&backend, &[record("k", 1, None)]).await?;
        backend.close().await?;
        run(
            &mut connection,
            &format!("DROP SCHEMA {} CASCADE; DROP ROLE {role}", place.schema()),
        )
        .await;
        Ok(())
    })
}
