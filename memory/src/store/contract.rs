//! What every [`super::Store`] keeps, as one function that all implementations pass.
