//! The numbers of a query's parts. A number is never given to another part.

use crate::query::order::Direction;
use crate::query::test::Comparison;

pub(super) const AND: u64 = 0;
pub(super) const OR: u64 = 1;
pub(super) const NOT: u64 = 2;
pub(super) const COMPARE: u64 = 3;
pub(super) const RANGE: u64 = 4;
pub(super) const IN: u64 = 5;
pub(super) const PREFIX: u64 = 6;
pub(super) const CONTAINS: u64 = 7;
pub(super) const EXISTS: u64 = 8;
pub(super) const NULL_OR_MISSING: u64 = 9;

/// The one NaN that is written.
pub(super) const NAN: u64 = 0x7ff8_0000_0000_0000;

pub(super) fn of_comparison(comparison: Comparison) -> u64 {
    match comparison {
        Comparison::Eq => 0,
        Comparison::Ne => 1,
        Comparison::Lt => 2,
        Comparison::Le => 3,
        Comparison::Gt => 4,
        Comparison::Ge => 5,
    }
}

pub(super) fn comparison(number: u64) -> Option<Comparison> {
    Some(match number {
        0 => Comparison::Eq,
        1 => Comparison::Ne,
        2 => Comparison::Lt,
        3 => Comparison::Le,
        4 => Comparison::Gt,
        5 => Comparison::Ge,
        _ => return None,
    })
}

pub(super) fn of_direction(direction: Direction) -> u64 {
    match direction {
        Direction::Ascending => 0,
        Direction::Descending => 1,
    }
}

pub(super) fn direction(number: u64) -> Option<Direction> {
    Some(match number {
        0 => Direction::Ascending,
        1 => Direction::Descending,
        _ => return None,
    })
}
