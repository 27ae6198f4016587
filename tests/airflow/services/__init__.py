"""Tests that share one stack of Airflow's services, for starting one costs fifteen seconds of processor time."""
