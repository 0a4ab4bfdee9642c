//! The canary of an alias in Qdrant: a second alias, `docs~canary~5`, whose name carries the share.
//! Never leaves two of them behind, unless it is killed between two calls: the next move takes away what is left.

use lectern_schema::canary::Canary;
use lectern_schema::identifiers::AliasName;
use qdrant_client::qdrant::{CreateAlias, DeleteAlias, RenameAlias};

use super::QdrantStore;
use super::call::{Fault, bounded};
use crate::store::StoreError;

/// What is tried, for errors.
const ACTION: &str = "move the canary";

impl QdrantStore {
    /// The canary of `alias`.
    pub(super) async fn canary_of(&self, alias: &AliasName) -> Result<Option<Canary>, StoreError> {
        Ok(Canary::newest(self.canaries(alias).await?.into_iter()))
    }

    async fn canaries(&self, alias: &AliasName) -> Result<Vec<Canary>, StoreError> {
        let aliases = self.aliases().await?.into_iter();
        Ok(aliases.filter_map(|(name, collection)| Canary::named(alias, &name, &collection)).collect())
    }

    /// As [`Self::move_alias`] does, reads right before and right after. A change of the share alone is one call; otherwise
    /// the new pointer is there before the old one goes.
    pub(super) async fn move_canary(
        &self,
        alias: &AliasName,
        expected: Option<&Canary>,
        to: Option<&Canary>,
    ) -> Result<(), StoreError> {
        self.expect_canary(alias, expected).await?;
        if let Some(to) = to {
            self.refuse_incomplete(&to.generation).await?;
            self.expect_canary(alias, expected).await?;
            self.point_canary(expected, to).await?;
        }
        for left in self.canaries(alias).await?.iter().filter(|left| to != Some(left)) {
            self.forget_canary(left).await?;
        }
        self.expect_canary(alias, to).await
    }

    async fn point_canary(&self, expected: Option<&Canary>, to: &Canary) -> Result<(), StoreError> {
        let moved = match expected.filter(|before| before.generation == to.generation) {
            Some(before) if before.share == to.share => return Ok(()),
            Some(before) => {
                let (old, new) = (before.alias_name(), to.alias_name());
                let request = RenameAlias { old_alias_name: old, new_alias_name: new };
                bounded(ACTION, self.client.rename_alias(request)).await
            }
            None => {
                let collection = to.generation.to_string();
                let request = CreateAlias { alias_name: to.alias_name(), collection_name: collection };
                bounded(ACTION, self.client.create_alias(request)).await
            }
        };
        moved.map(drop).map_err(|fault| fault.of_generation(&to.generation))
    }

    async fn forget_canary(&self, canary: &Canary) -> Result<(), StoreError> {
        let request = DeleteAlias { alias_name: canary.alias_name() };
        bounded(ACTION, self.client.delete_alias(request)).await.map(drop).map_err(Fault::of_store)
    }

    async fn expect_canary(&self, alias: &AliasName, expected: Option<&Canary>) -> Result<(), StoreError> {
        let found = self.canary_of(alias).await?;
        if found.as_ref() == expected {
            return Ok(());
        }
        Err(StoreError::canary_moved(alias, expected, found))
    }
}
