//! The query of a command line.

use std::str::FromStr;

use hybrid_grid::Error;
use hybrid_grid::query::Query;

use crate::args::AskedArgs;
use crate::exit::{Result, Stop};

/// Reads what is asked for.
///
/// # Errors
/// [`Stop::Text`] when a text is no filter or no order, with the place; [`Stop::Usage`] when the
/// query exceeds a bound.
pub(crate) fn read(asked: &AskedArgs) -> Result<Query> {
    let mut query = Query::all();
    if let Some(filter) = parsed("--where", asked.filter.as_deref())? {
        query = query.and(filter);
    }
    if let Some(order) = parsed("--order", asked.order.as_deref())? {
        query = query.order(order);
    }
    query.limit = asked.limit;
    query.check().map_err(Stop::Usage)?;
    Ok(query)
}

fn parsed<T: FromStr<Err = Error>>(option: &'static str, text: Option<&str>) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    let parsed = text.parse().map_err(|error| Stop::Text {
        option,
        text: text.to_owned(),
        error,
    });
    parsed.map(Some)
}
