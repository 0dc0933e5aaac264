//! Moving a name, as POSIX `rename` does.

use super::quota::entry_cost;
use super::state::{ROOT, State};
use crate::name::check_name;
use crate::{Error, Kind, NodeId, Result};

/// Directories above the target that moving a directory looks through. Deeper targets are refused
/// with `NameTooLong`; no path reaches that deep, since it would be longer than [`crate::MAX_PATH`].
pub const MAX_DEPTH: usize = 2048;

/// A name in a directory.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) dir: NodeId,
    pub(super) name: &'a str,
}

impl State {
    pub(super) fn rename(&mut self, from: Place<'_>, to: Place<'_>, now: u64) -> Result<()> {
        check_name(from.name)?;
        check_name(to.name)?;
        let source = self.existing(from.dir, from.name)?;
        let target = self.entry(to.dir, to.name)?;
        self.check_in_tree(to.dir)?;
        if target.is_some_and(|target| target.0 == source.0) {
            return Ok(());
        }
        if source.1 == Kind::Directory && from.dir != to.dir {
            self.check_not_below(source.0, to.dir)?;
        }
        match target {
            Some(target) => {
                self.check_replaceable(source.1, target)?;
                self.move_over(from, to, source, now)?;
                self.drop_name(target.0, now);
            }
            None => self.move_to_free_name(from, to, source, now)?,
        }
        self.finish_move(from.dir, to.dir, source, now)
    }

    fn check_replaceable(&self, source: Kind, target: (NodeId, Kind)) -> Result<()> {
        match (source == Kind::Directory, target.1 == Kind::Directory) {
            (true, true) => self.check_empty(target.0),
            (true, false) => Err(Error::NotADirectory),
            (false, true) => Err(Error::IsADirectory),
            (false, false) => Ok(()),
        }
    }

    /// `at` is neither `moved` nor in its subtree.
    fn check_not_below(&self, moved: NodeId, mut at: NodeId) -> Result<()> {
        for _ in 0..MAX_DEPTH {
            if at == moved {
                return Err(Error::InvalidInput);
            }
            if at == ROOT {
                return Ok(());
            }
            at = self.node(at)?.directory()?.parent;
        }
        Err(Error::NameTooLong)
    }

    /// The target's name stays where it is in its directory and gets the source's node.
    fn move_over(
        &mut self,
        from: Place<'_>,
        to: Place<'_>,
        source: (NodeId, Kind),
        now: u64,
    ) -> Result<()> {
        let (from_key, to_key) = (self.key(from.name), self.key(to.name));
        let old = self.node_mut(from.dir)?;
        old.directory_mut()?.remove(from_key);
        old.touch(now);
        let new = self.node_mut(to.dir)?;
        new.directory_mut()?.replace(to_key, source.0, source.1);
        self.quota.give_back(entry_cost(from.name));
        Ok(())
    }

    fn move_to_free_name(
        &mut self,
        from: Place<'_>,
        to: Place<'_>,
        source: (NodeId, Kind),
        now: u64,
    ) -> Result<()> {
        let (old_cost, new_cost) = (entry_cost(from.name), entry_cost(to.name));
        self.quota.take(new_cost.saturating_sub(old_cost))?;
        self.quota.give_back(old_cost.saturating_sub(new_cost));
        let (from_key, to_key) = (self.key(from.name), self.key(to.name));
        let old = self.node_mut(from.dir)?;
        old.touch(now);
        if from.dir == to.dir {
            old.directory_mut()?.rename(from_key, to_key);
            return Ok(());
        }
        old.directory_mut()?.remove(from_key);
        self.add_entry(to.dir, to.name, source.0, source.1, now)
    }

    /// The moved node's own record: its new parent, the times.
    fn finish_move(
        &mut self,
        from: NodeId,
        to: NodeId,
        source: (NodeId, Kind),
        now: u64,
    ) -> Result<()> {
        self.node_mut(to)?.touch(now);
        let moved = self.node_mut(source.0)?;
        moved.changed = now;
        if source.1 == Kind::Directory && from != to {
            moved.directory_mut()?.parent = to;
        }
        Ok(())
    }
}
