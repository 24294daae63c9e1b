//! Workers: one task each, which runs many partitions from one bounded mailbox.

mod acks;
mod batch;
mod credit;
mod expected;
mod fan_out;
mod held;
mod jobs;
mod message;
mod ownership;
mod pipeline;
mod reading;
mod start;
mod subscribers;
mod task;
mod telling;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use fan_out::fan_out;
pub(crate) use message::{
    Mailboxes, Origin, PushWork, ReadWork, SubscribeWork, WorkerMessage, closed, op_bytes,
};
pub(crate) use reading::merge_pages;
pub(crate) use start::{Workers, start as start_workers};
pub(crate) use subscribers::SharedSubscribers;
#[cfg(test)]
pub(crate) use task::{Worker, WorkerContext};
