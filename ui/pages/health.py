"""The page "health": the decoder, where passages are kept, the machine, servers, their figures, jobs, the doctor."""

from __future__ import annotations

import streamlit as st

from ui.browser.entrance import enter
from ui.browser.health_cards import look_again, show_cards
from ui.browser.health_charts import show_metrics
from ui.browser.health_doctor import show_doctor
from ui.browser.health_jobs import show_jobs
from ui.browser.health_servers import show_servers
from ui.browser.problems import apart
from ui.browser.strings import say

who = enter("health")
if st.button(say("health.refresh"), key="health-refresh", icon=":material/refresh:"):
    look_again()
with apart():
    show_cards()
st.subheader(say("health.servers"))
with apart():
    show_servers(who.id)
st.subheader(say("health.metrics"))
with apart():
    show_metrics()
st.subheader(say("health.jobs"))
with apart():
    show_jobs(who.id)
st.subheader(say("health.doctor"))
with apart():
    show_doctor()
