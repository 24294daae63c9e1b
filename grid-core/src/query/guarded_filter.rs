//! What somebody asks for, of what they may see.

use std::sync::Arc;

use super::compiled_filter::CompiledFilter;
use super::rule::CompiledRule;
use crate::address::Key;

/// A query's filter and the rule that guards it; an entry must pass both.
///
/// The rule is shared by all whom it applies to. Without one everything is granted: who denies by
/// default hands in [`Filter::none`](super::Filter::none).
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::Key;
/// use grid_core::query::{GuardedFilter, field};
///
/// let rule = Arc::new(field("owner").eq("ann").compile_rule()?);
/// let asked = !field("done").eq(true);
/// let filter = GuardedFilter::new(asked.compile()?, Some(rule));
/// let key = Key::new("t1")?;
/// assert!(filter.matches(&key, b"\xa1\x65owner\x63ann"));
/// assert!(!filter.matches(&key, b"\xa1\x65owner\x63bob"));
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GuardedFilter {
    filter: CompiledFilter,
    rule: Option<Arc<CompiledRule>>,
}

impl GuardedFilter {
    /// What `filter` takes of what `rule` grants.
    #[must_use]
    pub fn new(filter: CompiledFilter, rule: Option<Arc<CompiledRule>>) -> Self {
        Self { filter, rule }
    }

    /// Whether an entry passes both. Allocates nothing.
    #[must_use]
    pub fn matches(&self, key: &Key, value: &[u8]) -> bool {
        // The filter may end before the value does, the rule may not.
        self.filter.matches(key, value) && self.is_granted(key, value)
    }

    /// Whether an entry may be seen, asked for or not.
    #[must_use]
    pub fn is_granted(&self, key: &Key, value: &[u8]) -> bool {
        let rule = self.rule.as_ref();
        rule.is_none_or(|rule| rule.grants(key, value))
    }
}
