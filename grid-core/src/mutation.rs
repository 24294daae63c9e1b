//! Deliberate bugs, to see whether a tester finds them. Without the feature `mutations`, which
//! nothing but a test of the tester turns on, none of this costs or does anything.
//!
//! To add one: its name in the list here, and [`planted`] at the place that it breaks.

/// Names each deliberate bug once: in the type, and in the list.
macro_rules! mutations {
    (
        { $($(#[$what:meta])* $name:ident,)* }
        apart { $($(#[$that:meta])* $other:ident,)* }
    ) => {
        /// A deliberate bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Mutation {
            $($(#[$what])* $name,)*
            $($(#[$that])* $other,)*
        }

        impl Mutation {
            /// Those that any tester should find. What only one kind of check can see stands apart,
            /// and a test of that check plants it.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Those that stand apart.
            pub const APART: &'static [Self] = &[$(Self::$other,)*];
        }
    };
}

mutations! {
    {
        /// The server decides an op again that it decided before.
        SkipDedup,
        /// Versions of one instant are taken for equal.
        IgnoreTieBreak,
        /// The journal writes, and does not sync.
        ForgetFsync,
        /// Who catches up by cursor misses the first change.
        OffByOneCursor,
        /// The server's state changes though the journal has failed.
        ApplyBeforeJournal,
        /// A removal leaves nothing behind.
        DropTombstone,
        /// A server that is no longer the owner goes on.
        AcceptStaleEpoch,
        /// A client that is opened again forgets how late it already was.
        ForgetHlcHighWater,
        /// A removed entry stays in the server's Merkle tree.
        StaleMerkleLeaf,
        /// The server acknowledges what is on its way to the journal.
        AckBeforeCommit,
        /// The database may have what is still on its way to the journal.
        StoreBeforeJournal,
        /// A state record is stored with the first batch of those that it belongs to.
        StateAheadOfData,
        /// What changes again before it was stored is not stored with the rest of its pass.
        ForgetDisplaced,
        /// What the database refuses is put aside nowhere.
        LoseDeadLetter,
        /// Ops are taken however much waits for the database.
        UnboundedBacklog,
        /// The server starts on a database that does not fit the journal.
        ServeOldDatabase,
        /// A client may send as many ops again as are on their way.
        IgnoreInFlight,
        /// An op that is to be told once it is stored is told once it is journalled.
        AckBeforeStored,
    }
    apart {
        /// The server answers a read without what its database does not have yet.
        StaleRead,
    }
}

#[cfg(feature = "mutations")]
mod planting {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static PLANTED: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Plants a bug in this thread, instead of the one before; `None` plants none.
    pub fn plant(mutation: Option<Mutation>) {
        PLANTED.set(mutation);
    }

    /// Whether this bug is planted in this thread.
    #[must_use]
    pub fn planted(mutation: Mutation) -> bool {
        PLANTED.get() == Some(mutation)
    }
}

#[cfg(feature = "mutations")]
pub use planting::{plant, planted};

/// Whether this bug is planted: never, without the feature `mutations`.
#[cfg(not(feature = "mutations"))]
#[must_use]
#[inline(always)]
pub const fn planted(_: Mutation) -> bool {
    false
}
