//! Local queries give what filtering and sorting all decoded values gives, with writes that wait.

use std::cmp::Ordering;

use grid_client::query::{Direction, Filter, Literal, Path, Query, field};
use grid_client::{ConnectionState, LocalQuery, Map};
use grid_core::traits::Runtime;
use grid_core::{ErrorKind, Key};
use serde_json::{Value, json};

use crate::world::run;

/// Draws from the seed of a world.
struct Draw(std::sync::Arc<dyn Runtime>);

impl Draw {
    fn below(&self, bound: u64) -> u64 {
        self.0.random() % bound
    }

    fn one_of<T: Clone>(&self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()].clone()
    }

    fn key(&self) -> String {
        format!("k{}", self.below(60))
    }

    /// Few values of many types, so that there are ties and fields that are not comparable.
    fn value(&self) -> Value {
        let any = [
            json!(null),
            json!(false),
            json!(true),
            json!(-3),
            json!(1),
            json!(1.5),
            json!(2),
            json!(10),
            json!(""),
            json!("a"),
            json!("ab"),
            json!([1]),
        ];
        let mut value = json!({ "at": { "n": self.one_of(&any) }, "text": self.one_of(&any) });
        if self.below(4) == 0 {
            value["at"] = json!(7);
        }
        if self.below(4) == 0 {
            value.as_object_mut().unwrap().remove("text");
        }
        value
    }

    async fn write(&self, map: &Map<Value>, writes: u64) {
        for _ in 0..writes {
            if self.below(4) == 0 {
                drop(map.remove(&self.key()).await.unwrap());
            } else {
                drop(map.put(&self.key(), &self.value()).await.unwrap());
            }
        }
    }

    fn atom(&self) -> (Filter, Holds) {
        let path = self.one_of(&PATHS);
        let literal = self.one_of(&[json!(-3), json!(1), json!(2), json!(""), json!("a")]);
        let asked = match literal.as_i64() {
            Some(number) => Literal::from(number),
            None => Literal::from(literal.as_str().unwrap()),
        };
        let asks = field(path);
        let (filter, holds): (Filter, fn(Option<Ordering>) -> bool) = match self.below(4) {
            0 => (asks.eq(asked), |order| order == Some(Ordering::Equal)),
            1 => (asks.lt(asked), |order| order == Some(Ordering::Less)),
            2 => (asks.ge(asked), |order| order.is_some_and(Ordering::is_ge)),
            _ => (asks.ne(asked), |order| order != Some(Ordering::Equal)),
        };
        let holds = move |value: &Value| {
            let found = at(value, path).filter(|found| rank(Some(found)) == rank(Some(&literal)));
            holds(found.map(|found| compare(Some(found), Some(&literal))))
        };
        (filter, Box::new(holds))
    }

    fn filter(&self) -> (Filter, Holds) {
        let (one, one_holds) = self.atom();
        let (two, two_holds) = self.atom();
        match self.below(5) {
            0 => (Filter::all(), Box::new(|_| true)),
            1 => (one, one_holds),
            2 => (!one, Box::new(move |value| !one_holds(value))),
            3 => {
                let holds = move |value: &Value| one_holds(value) && two_holds(value);
                (one.and(two), Box::new(holds))
            }
            _ => {
                let holds = move |value: &Value| one_holds(value) || two_holds(value);
                (one.or(two), Box::new(holds))
            }
        }
    }

    fn order(&self) -> Vec<(&'static [&'static str], Direction)> {
        let directions = [Direction::Ascending, Direction::Descending];
        let fields = 0..self.below(3);
        fields
            .map(|_| (self.one_of(&PATHS), self.one_of(&directions)))
            .collect()
    }
}

type Holds = Box<dyn Fn(&Value) -> bool>;

const PATHS: [&[&str]; 2] = [&["text"], &["at", "n"]];

fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// The place of a value's type in an order, as the documentation of `Order` tells it.
fn rank(value: Option<&Value>) -> u8 {
    match value {
        None => 0,
        Some(Value::Null) => 1,
        Some(Value::Bool(_)) => 2,
        Some(Value::Number(_)) => 3,
        Some(Value::String(_)) => 4,
        Some(Value::Array(_)) => 5,
        Some(Value::Object(_)) => 6,
    }
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let within = match (a, b) {
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap())
        }
        (Some(Value::String(a)), Some(Value::String(b))) => a.as_bytes().cmp(b.as_bytes()),
        _ => Ordering::Equal,
    };
    rank(a).cmp(&rank(b)).then(within)
}

/// Asks one query of all in one answer and page by page, and compares with the naive answer.
fn ask(draw: &Draw, map: &Map<Value>) {
    let (filter, holds) = draw.filter();
    let order = draw.order();
    let mut query = Query::from(filter);
    for (path, direction) in &order {
        query = match direction {
            Direction::Descending => query.descending(*path),
            _ => query.ascending(*path),
        };
    }
    let mut expected: Vec<(Key, Value)> = map.iter().map(Result::unwrap).collect();
    expected.retain(|(_, value)| holds(value));
    expected.sort_by(|(a_key, a), (b_key, b)| {
        let by_fields = order.iter().map(|(path, direction)| {
            let order = compare(at(a, path), at(b, path));
            match direction {
                Direction::Descending => order.reverse(),
                _ => order,
            }
        });
        by_fields
            .fold(Ordering::Equal, Ordering::then)
            .then_with(|| a_key.cmp(b_key))
    });
    if draw.below(2) == 0 {
        let limit = u32::try_from(1 + draw.below(30)).unwrap();
        query = query.limit(limit);
        expected.truncate(limit as usize);
    }
    let whole = map.query(query.clone()).get().unwrap();
    assert_eq!(whole.entries, expected, "{query:?}");
    assert_eq!(whole.next, None, "{query:?}");

    let length = usize::try_from(1 + draw.below(9)).unwrap();
    let mut paged = Vec::new();
    let mut pages = map.query(query.clone()).page(length);
    loop {
        let page = pages.get().unwrap();
        paged.extend(page.entries.iter().cloned());
        let Some(next) = page.next else { break };
        assert_eq!(page.entries.len(), length, "{query:?}");
        assert!(
            paged.len() < expected.len(),
            "an empty page follows: {query:?}"
        );
        pages = pages.after(next);
    }
    assert_eq!(paged, expected, "{query:?} in pages of {length}");
}

#[test]
fn an_answer_is_what_filtering_and_sorting_all_values_gives() {
    for seed in 0..8 {
        run(seed, |world| async move {
            let server = world.start().await;
            let device = world.device(0);
            let grid = world.open(&device).await;
            let map = grid.map::<Value>("m").unwrap();
            let draw = Draw(world.runtime(device.party));
            draw.write(&map, 80).await;
            world.flushed(&grid).await;
            for _ in 0..60 {
                ask(&draw, &map);
            }
            world.kill(server, false);
            draw.write(&map, 40).await;
            assert!(
                grid.status().pending > 0,
                "these wait over what is confirmed"
            );
            for _ in 0..120 {
                ask(&draw, &map);
            }
        });
    }
}

#[test]
fn an_answer_says_whether_it_is_complete_and_level() {
    run(1, |world| async move {
        let server = world.start().await;
        let grid = world.open(&world.device(0)).await;
        let map = grid.map::<u64>("m").unwrap();
        let says = || {
            let answer = map.query(Query::all()).get().unwrap();
            (answer.complete, answer.synced)
        };
        drop(map.put("k", &1).await.unwrap());
        assert_eq!(says(), (false, false), "nothing came from the server yet");
        world.flushed(&grid).await;
        assert_eq!(says(), (true, true));
        world.kill(server, false);
        let offline = |state: &ConnectionState| matches!(state, ConnectionState::Offline { .. });
        let mut connection = grid.connection();
        world.soon("loss", connection.until(offline)).await;
        assert_eq!(says(), (true, false));
    });
}

#[test]
fn a_question_that_cannot_be_is_refused_by_what_is_wrong() {
    run(1, |world| async move {
        let grid = world.open(&world.device(0)).await;
        let map = grid.map::<u64>("m").unwrap();
        drop(map.put("a", &1).await.unwrap());
        drop(map.put("b", &2).await.unwrap());
        let refused = |query: &LocalQuery<u64>| {
            let error = query.get().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            error.to_string()
        };
        let all = map.query(Query::all());
        assert!(refused(&all.clone().page(0)).contains("page"));
        assert!(refused(&map.query(Query::all().limit(0))).contains("limit"));
        let cursor = all.page(1).get().unwrap().next.unwrap();
        let other = map.query(Query::all().descending(Path::value()));
        assert!(refused(&other.after(cursor)).contains("another order"));
        let texts = grid.map::<String>("m").unwrap();
        let error = texts.query(field(Path::value()).eq(2)).get().unwrap_err();
        assert!(error.to_string().contains("key: b"), "{error}");
        let as_bytes = texts.query(Query::all()).get_bytes().unwrap();
        assert_eq!(as_bytes.decoded::<u64>().filter_map(Result::ok).count(), 2);
        assert_eq!(
            as_bytes.decoded::<String>().filter_map(Result::err).count(),
            2
        );
        let none = texts.query(field(Path::value()).eq(3)).get().unwrap();
        assert!(
            none.entries.is_empty(),
            "values outside the answer are not decoded"
        );
    });
}
