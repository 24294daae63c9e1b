//! Devices and a server, and the messages between them.

use std::collections::BTreeMap;

use bytes::BytesMut;
use grid_core::codec::CborCodec;
use grid_core::protocol::{Message, Selector};
use grid_core::traits::{Codec, CodecLimits};
use grid_core::{Key, MapName, Namespace, Result};

use crate::device::{Device, put, remove};
use crate::server::Server;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) devices: Vec<Device>,
    pub(crate) map: MapName,
    /// How many steps of a repair the devices asked for.
    pub(crate) repairs: usize,
}

pub(crate) fn key(number: u64) -> Key {
    Key::new(&format!("k{number}")).unwrap()
}

/// Every message goes through the codec, as it does between real peers.
fn over_the_wire(message: &Message) -> Message {
    let mut frame = BytesMut::new();
    CborCodec.encode(message, &mut frame).unwrap();
    let read = CborCodec.decode(frame.freeze(), &CodecLimits::default());
    let read = read.unwrap();
    assert_eq!(read, *message);
    read
}

impl World {
    pub(crate) fn new(devices: usize) -> Self {
        let map = MapName::new("m").unwrap();
        let mut world = Self {
            server: Server::new(1),
            devices: (1..=devices as u64)
                .map(|number| Device::new(number << 32))
                .collect(),
            map: map.clone(),
            repairs: 0,
        };
        for device in &mut world.devices {
            device.replica.open_map(&map, Selector::All).unwrap();
        }
        world
    }

    /// A world whose devices are connected and level.
    pub(crate) fn connected(devices: usize) -> Self {
        let mut world = Self::new(devices);
        for id in 0..devices {
            world.connect(id);
        }
        world.run();
        world
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.server.now_ms
    }

    pub(crate) fn connect(&mut self, id: usize) {
        self.disconnect(id);
        let now = self.devices[id].now(self.server.now_ms);
        let codecs = vec!["cbor".to_owned()];
        let hello = self.devices[id].replica.connect(codecs, None, now);
        let hello = over_the_wire(&Message::Hello(hello));
        self.server.handle(id, hello);
    }

    pub(crate) fn disconnect(&mut self, id: usize) {
        self.server.links.remove(&id);
        self.devices[id].replica.disconnect();
        self.devices[id].note();
        self.devices[id].save(self.server.now_ms);
    }

    /// The device's process dies; what was not saved is lost.
    pub(crate) fn crash(&mut self, id: usize) {
        self.server.links.remove(&id);
        let map = self.map.clone();
        self.devices[id].restart(&[&map]);
    }

    pub(crate) fn is_connected(&self, id: usize) -> bool {
        self.server.links.contains_key(&id)
    }

    /// Sends one message of a device; false when it has none.
    pub(crate) fn send(&mut self, id: usize) -> bool {
        if !self.is_connected(id) {
            return false;
        }
        let now = self.devices[id].now(self.server.now_ms);
        let Some(message) = self.devices[id].replica.next_message(now) else {
            return false;
        };
        self.repairs += usize::from(matches!(message, Message::Repair(_)));
        self.server.handle(id, over_the_wire(&message));
        true
    }

    /// Delivers one message to a device, of its events or of its acks; false when there is none.
    pub(crate) fn deliver(&mut self, id: usize, acks: bool) -> Result<bool> {
        let Some(link) = self.server.links.get_mut(&id) else {
            return Ok(false);
        };
        let queue = if acks {
            &mut link.acks
        } else {
            &mut link.events
        };
        let Some(message) = queue.pop_front() else {
            return Ok(false);
        };
        let now_ms = self.server.now_ms;
        self.devices[id].receive(over_the_wire(&message), now_ms)?;
        Ok(true)
    }

    /// Lets everything happen until nothing happens any more.
    pub(crate) fn run(&mut self) {
        loop {
            let mut moved = false;
            for id in 0..self.devices.len() {
                self.server.now_ms += 1;
                while self.send(id) {
                    moved = true;
                }
                moved |= self.deliver(id, false).unwrap();
                moved |= self.deliver(id, true).unwrap();
                let now_ms = self.server.now_ms;
                if self.devices[id].replica.has_unsaved() {
                    self.devices[id].save(now_ms);
                    moved = true;
                }
                moved |= self.is_connected(id) && self.pushes_are_paused(id);
            }
            if !moved {
                return;
            }
        }
    }

    /// Whether ops wait for the end of a pause that the server asked for.
    fn pushes_are_paused(&self, id: usize) -> bool {
        let device = &self.devices[id];
        let elapsed = device.now(self.server.now_ms).elapsed;
        let beat = std::time::Duration::from_millis(900);
        let next = device.replica.deadline();
        device.replica.is_connected()
            && device.replica.pending() > 0
            && next.is_some_and(|next| next > elapsed && next < elapsed + beat)
            && self.server.links[&id].acks.is_empty()
    }

    pub(crate) fn put(&mut self, id: usize, key: &Key, value: u64) -> grid_core::OpId {
        let write = put(&self.map, key, value);
        self.devices[id].write(vec![write], self.server.now_ms)[0]
    }

    pub(crate) fn remove(&mut self, id: usize, key: &Key) -> grid_core::OpId {
        let write = remove(&self.map, key);
        self.devices[id].write(vec![write], self.server.now_ms)[0]
    }

    pub(crate) fn server_put(&mut self, key: &Key, value: u64) {
        let map = self.map.clone();
        let value = crate::device::encoded(value).to_vec();
        self.server.write(&map, key, Some(value));
    }

    pub(crate) fn server_remove(&mut self, key: &Key) {
        let map = self.map.clone();
        self.server.write(&map, key, None);
    }

    pub(crate) fn seen(&self, id: usize) -> BTreeMap<Key, u64> {
        self.devices[id].seen(&self.map)
    }

    pub(crate) fn get(&self, id: usize, key: &Key) -> Option<u64> {
        self.devices[id].get(&self.map, key)
    }

    /// What the server has.
    pub(crate) fn truth(&self) -> BTreeMap<Key, u64> {
        let live = self.server.live(&self.map);
        live.into_iter()
            .map(|(key, record)| (key, crate::device::decoded(&record.value.unwrap())))
            .collect()
    }

    /// Everybody is level: nothing is pending, and all see what the server has, from memory and
    /// from the store.
    pub(crate) fn assert_level(&mut self) {
        let truth = self.truth();
        for id in 0..self.devices.len() {
            let device = &self.devices[id];
            assert_eq!(device.replica.pending(), 0, "device {id}");
            assert!(device.replica.is_synced(&self.map), "device {id}");
            assert!(device.replica.is_loaded(&self.map), "device {id}");
            assert!(device.replica.is_flushed(), "device {id}");
            assert_eq!(self.seen(id), truth, "device {id}");
            let run = self.devices[id].draw_run();
            let loaded = self.devices[id]
                .store
                .load(Namespace::default(), run)
                .unwrap();
            let stored: BTreeMap<Key, u64> = loaded
                .entries(&self.map, 0)
                .map(|(key, value)| (key.clone(), crate::device::decoded(value)))
                .collect();
            assert_eq!(stored, truth, "store of device {id}");
            assert_eq!(loaded.pending(), 0, "store of device {id}");
            assert_eq!(
                loaded.status().maps[0].cursor,
                self.devices[id].replica.status().maps[0].cursor
            );
        }
    }
}
