"""Clusters of Dask and Ray on this machine."""
