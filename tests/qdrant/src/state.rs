//! Which collections and aliases there are, and what a name means at this moment.
//! Never reads or writes a point.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::{AliasDescription, AliasOperations, CreateCollection};
use tonic::Status;

use crate::collection::{Collection, replace_file};
use crate::status::{bad_value, internal, no_collection, wrong_input};

const ALIASES_FILE: &str = "aliases.json";
const COLLECTIONS_DIRECTORY: &str = "collections";

/// Everything that a server keeps.
#[derive(Debug)]
pub(crate) struct State {
    root: PathBuf,
    catalog: RwLock<Catalog>,
}

#[derive(Debug, Default)]
struct Catalog {
    collections: BTreeMap<String, Arc<Collection>>,
    aliases: BTreeMap<String, String>,
}

/// A result and the seconds that it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed<T> {
    pub(crate) value: T,
    pub(crate) seconds: f64,
}

impl State {
    /// Opens a directory: what an earlier server left there, or nothing.
    pub(crate) fn open(root: PathBuf) -> Result<Self, Status> {
        let mut catalog = Catalog::default();
        let collections = root.join(COLLECTIONS_DIRECTORY);
        fs::create_dir_all(&collections).map_err(internal)?;
        for entry in fs::read_dir(&collections).map_err(internal)? {
            let path = entry.map_err(internal)?.path();
            match Collection::load(path.clone())? {
                Some(collection) => {
                    catalog.collections.insert(collection.name(), Arc::new(collection));
                }
                None => fs::remove_dir_all(&path).map_err(internal)?,
            }
        }
        let aliases = root.join(ALIASES_FILE);
        if aliases.exists() {
            let text = fs::read(&aliases).map_err(internal)?;
            catalog.aliases = serde_json::from_slice(&text).map_err(internal)?;
        }
        Ok(Self { root, catalog: RwLock::new(catalog) })
    }

    /// Runs work on the disk and the engine where it may block, and measures it.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<Timed<T>, Status> {
        let state = Arc::clone(self);
        let started = Instant::now();
        let value = tokio::task::spawn_blocking(move || work(&state)).await.map_err(internal)??;
        Ok(Timed { value, seconds: started.elapsed().as_secs_f64() })
    }

    /// The collection that is called so, or that an alias of this name points at.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Collection>, Status> {
        let catalog = self.read();
        let name = catalog.aliases.get(name).map_or(name, String::as_str);
        catalog.collections.get(name).cloned().ok_or_else(|| no_collection(name))
    }

    /// Names of all collections, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.read().collections.keys().cloned().collect()
    }

    /// Makes a collection, unless a collection or an alias has its name.
    pub(crate) fn create(&self, settings: CreateCollection) -> Result<(), Status> {
        let name = collection_name(&settings.collection_name)?;
        self.read().must_be_free(&name)?;
        let collection = Collection::create(&self.root.join(COLLECTIONS_DIRECTORY), settings)?;
        let mut catalog = self.write();
        if let Err(taken) = catalog.must_be_free(&name) {
            collection.doom()?;
            return Err(taken);
        }
        catalog.collections.insert(name, Arc::new(collection));
        Ok(())
    }

    /// Deletes a collection and its aliases; false when there is none of this name. Waits for no search.
    pub(crate) fn delete(&self, name: &str) -> Result<bool, Status> {
        let mut catalog = self.write();
        let Some(collection) = catalog.collections.get(name).cloned() else { return Ok(false) };
        let mut aliases = catalog.aliases.clone();
        aliases.retain(|_, target| target != name);
        self.save_aliases(&aliases)?;
        collection.doom()?;
        catalog.aliases = aliases;
        catalog.collections.remove(name);
        Ok(true)
    }

    /// Carries out all actions, or none when one of them cannot be; readers see all of them at once.
    pub(crate) fn change_aliases(&self, actions: Vec<AliasOperations>) -> Result<(), Status> {
        let mut catalog = self.write();
        let mut aliases = catalog.aliases.clone();
        for action in actions {
            catalog.apply(action, &mut aliases)?;
        }
        self.save_aliases(&aliases)?;
        catalog.aliases = aliases;
        Ok(())
    }

    /// All aliases, or those of one collection.
    pub(crate) fn aliases(&self, of: Option<&str>) -> Vec<AliasDescription> {
        let catalog = self.read();
        let wanted = catalog.aliases.iter().filter(|(_, target)| of.is_none_or(|of| of == *target));
        wanted
            .map(|(alias, target)| AliasDescription {
                alias_name: alias.clone(),
                collection_name: target.clone(),
            })
            .collect()
    }

    fn save_aliases(&self, aliases: &BTreeMap<String, String>) -> Result<(), Status> {
        let text = serde_json::to_vec_pretty(aliases).map_err(internal)?;
        replace_file(&self.root.join(ALIASES_FILE), &text).map_err(internal)
    }

    fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog {
    fn must_be_free(&self, name: &str) -> Result<(), Status> {
        if self.collections.contains_key(name) {
            return Err(Status::already_exists(format!("Wrong input: Collection `{name}` already exists!")));
        }
        if self.aliases.contains_key(name) {
            return Err(wrong_input(format!(
                "Can't create collection with name {name}. Alias with the same name already exists"
            )));
        }
        Ok(())
    }

    fn apply(&self, action: AliasOperations, aliases: &mut BTreeMap<String, String>) -> Result<(), Status> {
        match action.action {
            Some(Action::CreateAlias(create)) => {
                self.may_be_alias(&create.alias_name)?;
                if !self.collections.contains_key(&create.collection_name) {
                    return Err(no_collection(&create.collection_name));
                }
                aliases.insert(create.alias_name, create.collection_name);
            }
            Some(Action::DeleteAlias(delete)) => {
                aliases.remove(&delete.alias_name);
            }
            Some(Action::RenameAlias(rename)) => {
                self.may_be_alias(&rename.new_alias_name)?;
                let target = aliases.remove(&rename.old_alias_name).ok_or_else(|| {
                    Status::not_found(format!("Not found: Alias {} does not exists!", rename.old_alias_name))
                })?;
                aliases.insert(rename.new_alias_name, target);
            }
            None => return Err(Status::invalid_argument("Malformed AliasOperation type")),
        }
        Ok(())
    }

    fn may_be_alias(&self, alias: &str) -> Result<(), Status> {
        if self.collections.contains_key(alias) {
            return Err(Status::already_exists(format!("Wrong input: Collection `{alias}` already exists!")));
        }
        collection_name(alias).map(drop)
    }
}

/// Qdrant's rule: 1 to 255 characters that a file name may have.
fn collection_name(name: &str) -> Result<String, Status> {
    const FORBIDDEN: &[char] = &['<', '>', ':', '"', '/', '\\', '|', '?', '*', '\0', '\u{1F}'];
    if name.is_empty() || 255 < name.chars().count() {
        return Err(bad_value("collection_name", "value invalid, must be from 1 to 255 characters"));
    }
    match name.chars().find(|character| FORBIDDEN.contains(character)) {
        Some(character) => Err(bad_value(
            "collection_name",
            &format!("collection name cannot contain \"{}\" char", character.escape_default()),
        )),
        None => Ok(name.to_owned()),
    }
}
