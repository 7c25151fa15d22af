"""From a data set to arrays: splits, folds, caches, pixel statistics, readers' boxes."""
