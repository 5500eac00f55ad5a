"""From run folders to tables: what claims, figures, pages and MLflow show, each table made once."""
