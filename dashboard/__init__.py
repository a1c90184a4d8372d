"""Streamlit pages: cached reads, pure views. They show what the other rooms know and decide nothing."""
