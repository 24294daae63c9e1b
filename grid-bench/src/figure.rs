//! One measured figure, with what it is held against.

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// Times and sizes.
    Lower,
    /// Rates.
    Higher,
}

impl Better {
    /// The word for it in the JSON form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
        }
    }

    /// The sign between a figure and a bound that it keeps.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Lower => "≤",
            Self::Higher => "≥",
        }
    }

    /// Whether `value` keeps `bound`.
    pub(crate) fn keeps(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Lower => value <= bound,
            Self::Higher => value >= bound,
        }
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    /// The suite, case and metric: together the figure's name.
    pub(crate) suite: &'static str,
    pub(crate) case: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// What the project promises itself, if anything.
    pub(crate) target: Option<f64>,
    /// What the hardware or the bare library gives, if it was measured.
    pub(crate) limit: Option<f64>,
}

impl Figure {
    /// The figure's name: `suite/case/metric`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}", self.suite, self.case, self.metric)
    }

    /// Whether the figure is what was promised; `None` when nothing was.
    pub(crate) fn meets_target(&self) -> Option<bool> {
        self.target
            .map(|target| self.better.keeps(self.value, target))
    }
}
