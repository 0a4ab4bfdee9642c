//! What SQL promises, said once for both databases.
//! Never knows what the sentences say.

/// Address of a database whose folder does not exist yet, under a name that has to be escaped.
pub fn new_sqlite(folder: &std::path::Path) -> String {
    format!("sqlite:{}", folder.join("new/lectern %41 ä.db").display())
}

/// Makes tests of functions that take a database's address: each becomes one on SQLite; PostgreSQL, whose server is started
/// once per process, keeps them all in one.
#[macro_export]
macro_rules! sql_contract {
    ($($sentence:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $sentence() {
                    let folder = tempfile::tempdir().unwrap();
                    super::$sentence(&$crate::contract::new_sqlite(folder.path())).await;
                }
            )*
        }

        mod postgresql {
            #[tokio::test]
            async fn every_sentence_holds() {
                $(
                    eprintln!("{}", stringify!($sentence));
                    super::$sentence(&$crate::postgres::database().await.url).await;
                )*
            }
        }
    };
}
