"""Networks that predict: anybody's own, and what the LSTM shares with them. With policies.lstm, where torch is used."""
