//! Orders and whole queries in text.

use std::fmt;
use std::str::FromStr;

use winnow::stream::Stream;

use super::fault::{Fault, Result};
use super::filter::filter;
use super::input::{Input, has_keyword, has_sign, keyword, parse};
use super::literal::literal;
use super::path::path;
use crate::error;
use crate::error::Error;
use crate::limits::MAX_ORDER_FIELDS;
use crate::query::{Direction, Filter, Literal, Order, Path, Query};

impl FromStr for Order {
    type Err = Error;

    /// Parses an order, such as `created desc, name`, or `-created, name`.
    ///
    /// ```
    /// use grid_core::query::{Order, Path};
    ///
    /// let order: Order = "owner.name, due desc, key() desc".parse()?;
    /// let wanted = Order::by_key().ascending(["owner", "name"]).descending("due");
    /// assert_eq!(order, wanted.descending(Path::key()));
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As those of a filter.
    fn from_str(text: &str) -> error::Result<Self> {
        let order = parse(text, order, "`asc`, `desc`, `,` or the end")?;
        order.check()?;
        Ok(order)
    }
}

impl FromStr for Query {
    type Err = Error;

    /// Parses a query.
    ///
    /// | | |
    /// | --- | --- |
    /// | query | `where FILTER order by PATH [asc, desc], … limit NUMBER`, each part may be left out |
    /// | filter | `and`, `or`, `not` (also `&&`, `\|\|`, `!`), parentheses; `and` binds closer than `or`; `all`, `none` |
    /// | test | `PATH = LITERAL`, also `==`, `!=`, `<>`, `<`, `<=`, `>`, `>=` |
    /// | | `PATH in (LITERAL, …)` · `PATH contains LITERAL` · `PATH starts_with TEXT` |
    /// | | `PATH in 1..5` (5 is not in it), `1..=5`, `1<..5` (nor is 1), `1<..=5` |
    /// | | `PATH exists` · `PATH is none` (null or missing) · `PATH is not none`; `not in`, `not contains`, `not starts_with`, `not exists` |
    /// | path | names with dots between: `owner.name`; others than letters, digits and `_` in backticks: `` `due date`.from ``; `key()` for the entry's key, `value()` for the value itself |
    /// | literal | `null`, `true`, `false`, `-7`, `1.5`, `inf`, `nan`, `"text"`, `h'00ff'` (bytes) |
    ///
    /// Keywords are the same in capitals. In texts and backticks stand `\"`, `` \` ``, `\\`, `\n`,
    /// `\r`, `\t` and `\u{e9}`. In an order `-due` is `due desc`.
    ///
    /// ```
    /// use grid_core::query::{Query, field};
    ///
    /// let query: Query = "where done = false order by created desc limit 50".parse()?;
    /// let wanted = Query::from(field("done").eq(false)).descending("created").limit(50);
    /// assert_eq!(query, wanted);
    /// assert_eq!(query.to_string(), "where done = false order by created desc limit 50");
    /// # Ok::<(), grid_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As those of a filter.
    fn from_str(text: &str) -> error::Result<Self> {
        let end = "`where`, `order by`, `limit` or the end, in this order";
        let query = parse(text, query, end)?;
        query.check()?;
        Ok(query)
    }
}

fn query(input: &mut Input<'_>) -> Result<Query> {
    let mut query = Query::all();
    if has_keyword(input, "where")? {
        query.filter = filter(input)?;
    }
    if has_keyword(input, "order")? {
        keyword(input, "by", "`by`")?;
        query.order = order(input)?;
    }
    if has_keyword(input, "limit")? {
        query.limit = Some(limit(input)?);
    }
    Ok(query)
}

fn order(input: &mut Input<'_>) -> Result<Order> {
    let mut order = Order::by_key();
    loop {
        if order.fields().len() == MAX_ORDER_FIELDS {
            let problem = format!("an order has at most {MAX_ORDER_FIELDS} fields");
            return Err(Fault::problem(input, problem));
        }
        let (path, direction) = order_field(input)?;
        order = order.then(path, direction);
        if !has_sign(input, ",")? {
            return Ok(order);
        }
    }
}

fn order_field(input: &mut Input<'_>) -> Result<(Path, Direction)> {
    if has_sign(input, "-")? {
        return Ok((path(input)?, Direction::Descending));
    }
    let path = path(input)?;
    if has_keyword(input, "desc")? {
        return Ok((path, Direction::Descending));
    }
    has_keyword(input, "asc")?;
    Ok((path, Direction::Ascending))
}

fn limit(input: &mut Input<'_>) -> Result<u32> {
    let before = input.checkpoint();
    let number = match literal(input) {
        Ok(Literal::Integer(number)) => u32::try_from(number).ok(),
        _ => None,
    };
    number.filter(|number| *number > 0).ok_or_else(|| {
        input.reset(&before);
        Fault::expected(input, "a number from 1 to 4294967295")
    })
}

/// An order by the key alone is written as `key()`.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fields().is_empty() {
            return write!(f, "{}", Path::key());
        }
        let mut fields = self.fields().iter().enumerate();
        fields.try_for_each(|(place, (path, direction))| {
            f.write_str(if place > 0 { ", " } else { "" })?;
            write!(f, "{path}")?;
            f.write_str(match direction {
                Direction::Ascending => "",
                Direction::Descending => " desc",
            })
        })
    }
}

/// Leaves out what every query has; `where all` if nothing is left.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = Self::all();
        let ordered = self.order != plain.order;
        let mut parts = Vec::new();
        if self.filter != Filter::all() || (!ordered && self.limit.is_none()) {
            parts.push(format!("where {}", self.filter));
        }
        if ordered {
            parts.push(format!("order by {}", self.order));
        }
        if let Some(limit) = self.limit {
            parts.push(format!("limit {limit}"));
        }
        f.write_str(&parts.join(" "))
    }
}
