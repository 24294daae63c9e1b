//! The bounds.

use crate::config::Settings;

/// What is checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(super) max_value_bytes: usize,
    pub(super) push_window: usize,
    pub(super) max_views: usize,
    pub(super) partition_count: u16,
    pub(super) spread: u16,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            max_value_bytes: settings.max_value_bytes as usize,
            push_window: settings.push_window() as usize,
            max_views: settings.max_views,
            partition_count: settings.partition_count,
            spread: settings.map_spread,
        }
    }
}
