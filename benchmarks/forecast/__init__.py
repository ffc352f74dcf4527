"""How far the forecasts of ``plan`` are from what trials then take."""
