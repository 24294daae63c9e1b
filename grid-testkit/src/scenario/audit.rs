//! Questions to servers, beside those of devices.

use grid_core::{Key, MapAddress, MapName, Namespace};

use super::event::Event;
use super::world::{World, lock};

/// Asks a server that is up for an entry, and notes what it says. Nothing is known of a question
/// that is not answered.
pub(super) async fn audit(world: &World, number: usize) {
    let entry = lock(&world.recording).some_entry();
    let servers = 0..world.server_count();
    let handle = servers
        .into_iter()
        .find_map(|server| world.server_handle(server));
    let (Some((map, key)), Some(handle)) = (entry, handle) else {
        return;
    };
    let (Ok(map), Ok(key)) = (MapName::new(map.as_str()), Key::new(&key)) else {
        return;
    };
    world.emit(Event::Audit {
        number,
        map: map.clone(),
        key: key.clone(),
    });
    let address = MapAddress {
        namespace: Namespace::default(),
        map,
    };
    if let Ok(record) = handle.get(&address, &key).await {
        let found = record.map(|record| (record.value, record.stamp));
        world.emit(Event::Audited { number, found });
    }
}
