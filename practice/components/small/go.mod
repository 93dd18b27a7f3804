module belay.local/practice/small

go 1.26.0
