//! How bytes are dealt to stripes.

use super::*;

#[test]
fn stripes_take_turns_block_by_block() {
    let mut turn = Turn::first();
    turn.advance(BLOCK as usize - 1, 3);
    assert_eq!((turn.stripe, turn.left), (0, 1));
    turn.advance(1, 3);
    assert_eq!((turn.stripe, turn.left), (1, BLOCK));
    turn.advance(BLOCK as usize, 3);
    turn.advance(BLOCK as usize, 3);
    assert_eq!((turn.stripe, turn.left), (0, BLOCK));
}
