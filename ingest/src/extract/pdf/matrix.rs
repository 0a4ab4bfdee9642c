//! Places points of text on a page.
//! Never more than the six numbers that PDF has for it.

/// An affine map: `xx`, `xy`, `yx`, `yy`, `x`, `y`; what lies at (u, v) comes to (u xx + v yx + x, u xy + v yy + y).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Matrix(pub(super) [f64; 6]);

impl Matrix {
    pub(super) const IDENTITY: Self = Self([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    /// A move.
    pub(super) fn moved(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, 0.0, 1.0, x, y])
    }

    /// `self` first, then `outer`.
    pub(super) fn within(self, outer: Self) -> Self {
        let Self([xx, xy, yx, yy, x, y]) = self;
        let Self([oxx, oxy, oyx, oyy, ox, oy]) = outer;
        Self([
            xx * oxx + xy * oyx,
            xx * oxy + xy * oyy,
            yx * oxx + yy * oyx,
            yx * oxy + yy * oyy,
            x * oxx + y * oyx + ox,
            x * oxy + y * oyy + oy,
        ])
    }
}
