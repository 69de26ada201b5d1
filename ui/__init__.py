"""Where people meet the house: the `hearth` command, and a Streamlit app that is still to come."""
