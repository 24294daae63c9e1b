//! The suite of systems of record finds planted bugs: each is one call of a good backend that is
//! changed, and the cases that are named beside it have to fail.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use grid_core::limits::LEAST_STATE_BYTES;
use grid_core::traits::{
    AddressedRecord, Persistence, PersistenceCapabilities, RecordCursor, RecordPage, StateRecord,
};
use grid_core::{Error, ErrorKind, PartitionId, Result};
use grid_storage_memory::MemoryPersistence;
use grid_testkit::conformance::persistence::{self as suite, PersistenceFixture};
use grid_testkit::hooks::{HookedPersistence, PersistenceHooks};

/// A call of `store`.
struct Call<'a> {
    inner: &'a dyn Persistence,
    partition: PartitionId,
    records: &'a [AddressedRecord],
    state: &'a StateRecord,
}

impl Call<'_> {
    async fn stands(&self) -> Result<Option<StateRecord>> {
        self.inner.load_state(self.partition).await
    }

    /// Goes on, with `state` in the place of the caller's.
    async fn with(&self, state: &StateRecord) -> Result<()> {
        let store = self.inner.store(self.partition, self.records, state);
        store.await
    }
}

/// One bug. What is not overridden is as it should be.
#[async_trait]
trait Plant: Debug + 'static {
    fn capabilities(declared: PersistenceCapabilities) -> PersistenceCapabilities {
        declared
    }

    /// Goes on with a call of `load`.
    async fn load(
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        inner.load(partition, after, limit).await
    }

    /// What is loaded of an entry; `first` is the version of it that was stored first.
    fn record(latest: AddressedRecord, _first: &AddressedRecord) -> AddressedRecord {
        latest
    }

    fn loaded(state: StateRecord) -> StateRecord {
        state
    }

    /// What a constraint says.
    fn refused(key: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Invalid, "store records", key))
    }

    async fn store(call: Call<'_>) -> Result<()> {
        call.with(call.state).await
    }
}

type Versions = BTreeMap<(PartitionId, RecordCursor), AddressedRecord>;

/// A place in memory whose calls have the bug `P`, and a constraint on its keys.
#[derive(Debug)]
struct Place<P> {
    forbidden: Arc<OnceLock<String>>,
    /// The versions that were stored first.
    first: Arc<Mutex<Versions>>,
    plant: PhantomData<fn() -> P>,
}

impl<P> Default for Place<P> {
    fn default() -> Self {
        Self {
            forbidden: Arc::default(),
            first: Arc::default(),
            plant: PhantomData,
        }
    }
}

impl<P> Place<P> {
    fn first_versions(&self) -> MutexGuard<'_, Versions> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Plant> PersistenceFixture for Place<P> {
    const FORBIDS: bool = true;

    async fn open(&self) -> Result<Arc<dyn Persistence>> {
        let hooks = Self {
            forbidden: Arc::clone(&self.forbidden),
            first: Arc::default(),
            plant: PhantomData,
        };
        let memory = Arc::new(MemoryPersistence::new());
        Ok(Arc::new(HookedPersistence::new(memory, hooks)))
    }

    async fn forbid(&self, key: &str) -> Result<()> {
        let set = self.forbidden.set(key.to_owned());
        set.map_err(|key| Error::new(ErrorKind::Internal, "forbid key", key))
    }
}

#[async_trait]
impl<P: Plant> PersistenceHooks for Place<P> {
    fn capabilities(&self, inner: &dyn Persistence) -> PersistenceCapabilities {
        P::capabilities(inner.capabilities())
    }

    async fn load(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        let mut page = P::load(inner, partition, after, limit).await?;
        let first = self.first_versions();
        for record in &mut page.records {
            let entry = (partition, RecordCursor::of(record));
            *record = P::record(record.clone(), &first[&entry]);
        }
        Ok(page)
    }

    async fn load_state(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
    ) -> Result<Option<StateRecord>> {
        Ok(inner.load_state(partition).await?.map(P::loaded))
    }

    async fn store(
        &self,
        inner: &dyn Persistence,
        partition: PartitionId,
        records: &[AddressedRecord],
        state: &StateRecord,
    ) -> Result<()> {
        for record in records {
            let key = record.record.key.as_str();
            if self.forbidden.get().map(String::as_str) == Some(key) {
                P::refused(key)?;
            }
        }
        for record in records {
            let entry = (partition, RecordCursor::of(record));
            let mut first = self.first_versions();
            first.entry(entry).or_insert_with(|| record.clone());
        }
        P::store(Call {
            inner,
            partition,
            records,
            state,
        })
        .await
    }
}

fn fails<P: Plant>(case: impl AsyncFnOnce(&Place<P>) -> Result<()>) -> bool {
    catch_unwind(AssertUnwindSafe(|| suite::run::<Place<P>, _>(case))).is_err()
}

#[derive(Debug)]
struct NoBug;
impl Plant for NoBug {}

/// Checks that a case fails with each of the plants, and not without.
macro_rules! assert_found {
    ($case:ident: $($plant:ty),+) => {
        assert!(!fails::<NoBug>(suite::$case));
        $(assert!(fails::<$plant>(suite::$case), "{} passes", stringify!($plant));)+
    };
}

/// The guard asks for a higher sequence, where an equal one is enough.
#[derive(Debug)]
struct KeepsEqualState;
#[async_trait]
impl Plant for KeepsEqualState {
    async fn store(call: Call<'_>) -> Result<()> {
        let stands = call.stands().await?;
        let equal = stands.filter(|stands| stands.sequence == call.state.sequence);
        call.with(equal.as_ref().unwrap_or(call.state)).await
    }
}

/// The first record after a cursor is taken for the cursor's own.
#[derive(Debug)]
struct SkipsAtPageBorders;
#[async_trait]
impl Plant for SkipsAtPageBorders {
    async fn load(
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        let Some(after) = after else {
            return inner.load(partition, None, limit).await;
        };
        let mut page = inner.load(partition, Some(after), limit + 1).await?;
        page.records.drain(..page.records.len().min(1));
        Ok(page)
    }
}

/// A cursor's own record comes once more.
#[derive(Debug)]
struct RepeatsAtPageBorders;
#[async_trait]
impl Plant for RepeatsAtPageBorders {
    async fn load(
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        let mut all = inner.load(partition, None, usize::MAX).await?;
        let is_before = |each: &AddressedRecord| Some(&RecordCursor::of(each)) < after;
        all.records.drain(..all.records.partition_point(is_before));
        all.more = all.records.len() > limit;
        all.records.truncate(limit);
        Ok(all)
    }
}

/// A page that is full is taken for the last one.
#[derive(Debug)]
struct EndsWithAFullPage;
#[async_trait]
impl Plant for EndsWithAFullPage {
    async fn load(
        inner: &dyn Persistence,
        partition: PartitionId,
        after: Option<&RecordCursor>,
        limit: usize,
    ) -> Result<RecordPage> {
        let mut page = inner.load(partition, after, limit).await?;
        page.more &= page.records.len() < limit;
        Ok(page)
    }
}

/// What is loaded is read where what was stored last has not arrived.
#[derive(Debug)]
struct GivesAnOlderVersion;
impl Plant for GivesAnOlderVersion {
    fn record(_latest: AddressedRecord, first: &AddressedRecord) -> AddressedRecord {
        first.clone()
    }
}

/// A version of its own is made of the value of an older one.
#[derive(Debug)]
struct GivesAnOlderValue;
impl Plant for GivesAnOlderValue {
    fn record(mut latest: AddressedRecord, first: &AddressedRecord) -> AddressedRecord {
        latest.record.value.clone_from(&first.record.value);
        latest
    }
}

/// A state record without data is taken for none.
#[derive(Debug)]
struct SkipsEmptyState;
#[async_trait]
impl Plant for SkipsEmptyState {
    async fn store(call: Call<'_>) -> Result<()> {
        let stands = call.stands().await?;
        let kept = stands.filter(|_| call.state.data.is_empty());
        call.with(kept.as_ref().unwrap_or(call.state)).await
    }
}

#[derive(Debug)]
struct LosesTheEndOfAState;
impl Plant for LosesTheEndOfAState {
    fn loaded(mut state: StateRecord) -> StateRecord {
        state.data.truncate(LEAST_STATE_BYTES - 1);
        state
    }
}

/// Chunks that are put together in the wrong order have the right size.
#[derive(Debug)]
struct MixesUpChunks;
impl Plant for MixesUpChunks {
    fn loaded(mut state: StateRecord) -> StateRecord {
        const CHUNK: usize = 1_048_576;
        if state.data.len() > CHUNK {
            let first = state.data.split_to(CHUNK);
            state.data = Bytes::from([state.data, first].concat());
        }
        state
    }
}

#[derive(Debug)]
struct DeclaresTooLittle;
impl Plant for DeclaresTooLittle {
    fn capabilities(declared: PersistenceCapabilities) -> PersistenceCapabilities {
        PersistenceCapabilities {
            max_state_bytes: LEAST_STATE_BYTES - 1,
            ..declared
        }
    }
}

/// Takes more than it declares.
#[derive(Debug)]
struct AsksNoBound;
impl Plant for AsksNoBound {
    fn capabilities(declared: PersistenceCapabilities) -> PersistenceCapabilities {
        PersistenceCapabilities {
            max_state_bytes: LEAST_STATE_BYTES,
            ..declared
        }
    }
}

/// Cuts off what is too large.
#[derive(Debug)]
struct CutsState;
#[async_trait]
impl Plant for CutsState {
    async fn store(call: Call<'_>) -> Result<()> {
        let mut state = call.state.clone();
        state
            .data
            .truncate(call.inner.capabilities().max_state_bytes);
        call.with(&state).await
    }
}

/// The records have landed before somebody looks at the size of the state record.
#[derive(Debug)]
struct ChecksStateLate;
#[async_trait]
impl Plant for ChecksStateLate {
    async fn store(call: Call<'_>) -> Result<()> {
        if let Some(stands) = call.stands().await? {
            call.with(&stands).await?;
        }
        call.with(call.state).await
    }
}

/// What is refused is not named.
#[derive(Debug)]
struct NamesNothing;
#[async_trait]
impl Plant for NamesNothing {
    async fn store(call: Call<'_>) -> Result<()> {
        let stored = call.with(call.state).await;
        stored.map_err(|error| Error::new(error.kind(), "store", "too many bytes"))
    }
}

/// What is too large is taken for what finds no room now.
#[derive(Debug)]
struct CallsItFull;
#[async_trait]
impl Plant for CallsItFull {
    async fn store(call: Call<'_>) -> Result<()> {
        let stored = call.with(call.state).await;
        stored.map_err(|error| Error::new(ErrorKind::Full, "store", error.to_string()))
    }
}

#[derive(Debug)]
struct AsksNoConstraint;
impl Plant for AsksNoConstraint {
    fn refused(_key: &str) -> Result<()> {
        Ok(())
    }
}

/// A constraint's error is taken for one of the database that nobody knows.
#[derive(Debug)]
struct BlamesTheDatabase;
impl Plant for BlamesTheDatabase {
    fn refused(key: &str) -> Result<()> {
        Err(Error::new(ErrorKind::Internal, "store records", key))
    }
}

#[derive(Debug)]
struct TriesAConstraintAgain;
impl Plant for TriesAConstraintAgain {
    fn refused(key: &str) -> Result<()> {
        let error = Error::new(ErrorKind::Invalid, "store records", key);
        Err(error.with_retryable(true))
    }
}

#[test]
fn a_state_that_an_equal_sequence_does_not_replace_is_found() {
    assert_found!(state_of_equal_sequence_replaces: KeepsEqualState, SkipsEmptyState);
}

#[test]
fn a_large_state_that_is_damaged_or_not_taken_is_found() {
    assert_found!(large_state_comes_back_whole: LosesTheEndOfAState, MixesUpChunks);
    assert_found!(capabilities_reach_the_protocol: DeclaresTooLittle);
}

#[test]
fn a_state_over_the_bound_that_is_taken_or_not_clearly_refused_is_found() {
    assert_found!(
        state_over_the_bound_is_refused: AsksNoBound,
        CutsState,
        ChecksStateLate,
        NamesNothing,
        CallsItFull
    );
}

#[test]
fn a_refused_record_of_which_something_else_is_said_is_found() {
    assert_found!(refused_record_is_found_by_halving: CallsItFull);
    assert_found!(
        constraint_is_found_by_halving: AsksNoConstraint,
        BlamesTheDatabase,
        TriesAConstraintAgain
    );
}

#[test]
fn a_load_that_leaves_out_or_repeats_what_lies_between_two_pages_is_found() {
    assert_found!(
        load_pages_join_up: SkipsAtPageBorders,
        RepeatsAtPageBorders,
        EndsWithAFullPage
    );
    assert_found!(
        load_starts_after_an_absent_record: SkipsAtPageBorders,
        RepeatsAtPageBorders
    );
    assert_found!(large_values_end_a_page_early: SkipsAtPageBorders, RepeatsAtPageBorders);
}

#[test]
fn a_load_that_gives_an_older_version_is_found() {
    assert_found!(higher_sequence_wins: GivesAnOlderVersion, GivesAnOlderValue);
    assert_found!(equal_sequence_replaces: GivesAnOlderVersion, GivesAnOlderValue);
    assert_found!(another_history_replaces: GivesAnOlderVersion, GivesAnOlderValue);
}

/// Says that it forbids keys, and does not.
#[derive(Default)]
struct Silent(Place<NoBug>);

impl PersistenceFixture for Silent {
    const FORBIDS: bool = true;

    async fn open(&self) -> Result<Arc<dyn Persistence>> {
        self.0.open().await
    }
}

#[test]
fn a_fixture_that_does_not_forbid_what_it_says_does_not_pass() {
    let case = || suite::run::<Silent, _>(suite::constraint_is_found_by_halving);
    assert!(catch_unwind(AssertUnwindSafe(case)).is_err());
}
