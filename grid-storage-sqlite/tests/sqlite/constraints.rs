//! Constraints and triggers that the owner of a file has added to it.

use grid_core::traits::{AddressedRecord, Persistence, StateRecord};
use grid_core::{
    ErrorKind, History, Key, MapAddress, MapName, Namespace, PartitionId, Record, Result, Sequence,
    Stamp,
};

use crate::place::{Place, forbid, persistence};

fn record(key: &str, sequence: u64) -> Result<AddressedRecord> {
    Ok(AddressedRecord {
        address: MapAddress {
            namespace: Namespace::default(),
            map: MapName::new("m")?,
        },
        record: Record {
            key: Key::new(key)?,
            value: Some(vec![0xf5].into()),
            stamp: Stamp::ZERO,
            sequence: Sequence(sequence),
            expires_at_ms: None,
        },
    })
}

fn state(sequence: u64) -> StateRecord {
    StateRecord {
        history: History(1),
        sequence: Sequence(sequence),
        data: vec![1].into(),
    }
}

#[test]
fn what_a_trigger_refuses_is_the_records_fault_and_nothing_of_the_batch_is_stored() -> Result<()> {
    let place = Place::new(0);
    place.block_on(async {
        let id = PartitionId(3);
        let database = persistence(place.file()).await?;
        forbid(place.file(), "bad").await;

        let batch = [record("good", 1)?, record("bad", 2)?];
        let error = database.store(id, &batch, &state(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(!error.is_retryable());
        assert!(!error.to_string().contains("no bad keys"), "{error}");
        assert_eq!(database.load_state(id).await?, None);
        database.store(id, &batch[..1], &state(1)).await?;
        let page = database.load(id, None, 10).await?;
        assert_eq!(page.records, batch[..1]);
        database.close().await
    })
}
