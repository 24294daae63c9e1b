//! Hybrid logical time (Kulkarni et al. 2014, "Logical Physical Clocks").

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// Bits of the counter below the milliseconds.
const COUNTER_BITS: u32 = 16;

/// One instant of hybrid logical time: 48 bits of milliseconds since 1970, 16 of counter.
///
/// Instants are ordered as integers. The text form is `milliseconds.counter`, zero-padded so that
/// it sorts like the instants; the binary form is the integer in big-endian.
///
/// ```
/// use grid_core::Hlc;
///
/// let earlier = Hlc::new(1_700_000_000_000, 7);
/// let later = earlier.next();
/// assert!(earlier < later);
/// assert_eq!(later.to_string(), "001700000000000.00008");
/// assert_eq!("001700000000000.00008".parse::<Hlc>()?, later);
/// # Ok::<(), grid_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(u64);

impl Hlc {
    /// Before every event.
    pub const ZERO: Self = Self(0);
    /// The largest wall time that fits, in milliseconds since 1970 (the year 10889).
    pub const MAX_MILLIS: u64 = (1 << (64 - COUNTER_BITS)) - 1;

    /// The instant `counter` steps into the millisecond `millis`; `millis` beyond
    /// [`Hlc::MAX_MILLIS`] saturates.
    #[must_use]
    pub const fn new(millis: u64, counter: u16) -> Self {
        let millis = if millis > Self::MAX_MILLIS {
            Self::MAX_MILLIS
        } else {
            millis
        };
        Self((millis << COUNTER_BITS) | counter as u64)
    }

    /// The instant from its integer form.
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The integer form.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Steps within the millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the counter is the low 16 bits"
        )]
        {
            self.0 as u16
        }
    }

    /// The next instant; a full counter carries into the milliseconds.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The binary form, which sorts like the instants.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The instant from its binary form.
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015}.{:05}", self.millis(), self.counter())
    }
}

impl FromStr for Hlc {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::new(
                ErrorKind::Invalid,
                "parse hlc",
                "expected MILLISECONDS.COUNTER",
            )
            .with("text", text)
        };
        let (millis, counter) = text.split_once('.').ok_or_else(invalid)?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(millis) || !digits(counter) {
            return Err(invalid());
        }
        let millis: u64 = millis.parse().map_err(|_| invalid())?;
        let counter: u16 = counter.parse().map_err(|_| invalid())?;
        if millis > Self::MAX_MILLIS {
            return Err(invalid());
        }
        Ok(Self::new(millis, counter))
    }
}
